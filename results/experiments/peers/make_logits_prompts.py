#!/usr/bin/env python3
"""Writes logits_prompts.json: 50 short texts of many kinds with their token ids, on which Hugging
Face tokenizers and llama.cpp agree (the script stops when they do not).

  make_logits_prompts.py --model FILE.gguf
"""
import argparse
import json
import pathlib

import llama_cpp

import common

TEXTS = [
    # English
    "The capital of France is",
    "Once upon a time, in a small village by the sea, there lived an old clockmaker who",
    "Water boils at 100 degrees Celsius at sea level because",
    "She opened the letter with trembling hands. Inside there was only one word:",
    "To make a simple vinaigrette, whisk together three parts oil and one part",
    "The committee's decision, which nobody had expected, was announced on Tuesday; critics",
    "\"I don't think so,\" he said. \"We'll see what they've done when it's finished,\"",
    "Photosynthesis is the process by which plants convert light energy into chemical energy. It takes",
    "A",
    "the the the the the the the the the the the the",
    "IN WITNESS WHEREOF, THE PARTIES HAVE EXECUTED THIS AGREEMENT AS OF THE",
    "Dear Sir or Madam,\n\nI am writing to complain about the delay of my train from Leeds to York on",
    # Code
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "#include <vector>\n\nint sum(const std::vector<int>& v) {\n  int total = 0;\n  for (",
    "SELECT name, COUNT(*) FROM orders JOIN customers USING (customer_id) GROUP BY",
    "{\"name\": \"Ada\", \"year\": 1815, \"tags\": [\"math\", \"engine\"], \"nested\": {\"a\":",
    "for (let i = 0; i < items.length; i++) {\n\tconsole.log(`item ${i}: ${items[i]}`);\n",
    "<html>\n  <head><title>Test page</title></head>\n  <body>\n    <ul>\n      <li>",
    "from typing import List\n\n\ndef running_max(numbers: List[int]) -> List[int]:\n"
    "    \"\"\" The largest number so far, at every position.\n"
    "    >>> running_max([1, 3, 2])\n    [1, 3, 3]\n    \"\"\"\n",
    "$ git log --oneline | head -3\n3f2a9c1 Fix the off-by-one in the parser\n",
    "while True:\n        try:\n                x = int(input())\n        except ValueError:\n",
    "fn main() {\n    let v: Vec<u32> = (1..=10).filter(|x| x % 2 == 0).collect();\n",
    # Other languages and scripts
    "La capitale de l'Italie est",
    "Der schnelle braune Fuchs springt über den faulen Hund, während die Katze",
    "El perro corrió por el parque hasta que su dueño lo llamó; entonces",
    "O coração não envelhece, é a pele que se enruga, dizia a minha avó",
    "Столица России - город Москва, а столица Франции -",
    "Η πρωτεύουσα της Ελλάδας είναι η",
    "日本の首都は東京です。フランスの首都は",
    "中国的首都是北京,法国的首都是",
    "대한민국의 수도는 서울이고 일본의 수도는",
    "عاصمة مصر هي القاهرة وعاصمة فرنسا هي",
    "בירת צרפת היא",
    "भारत की राजधानी नई दिल्ली है और फ्रांस की राजधानी",
    "Zażółć gęślą jaźń, powiedział nauczyciel i",
    "İstanbul'da hava bugün çok güzel, çünkü",
    # Digits, signs, white space
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "3.14159265358979323846264338327950288419716939937510",
    "2 + 2 = 4\n3 + 5 = 8\n7 + 6 = 13\n12 + 29 =",
    "Invoice 2024-03-17: 3 x $19.99 = $59.97 (incl. 20% VAT), due 31/03/2024, ref. #A-0042/",
    "0x7fff5fbff8c0 0xdeadbeef 192.168.0.1 00:1A:2B:3C:4D:5E",
    "   leading blanks, \t a tab,\r\n a CRLF,\n\n\n three line ends,    and a run of blanks   ",
    "!!! ??? ... --- *** ### $$$ %%% &&& ((( ))) [[[ ]]] {{{ }}} <<< >>> /// \\\\\\",
    "Emoji: 😀 👍🏽 🇫🇷 👨‍👩‍👧 ❤️ and symbols: ∑ ∫ √ ≤ → € № ½ ﬁ",
    # Chat and questions
    "<|im_start|>user\nWhat is the largest planet of the solar system?<|im_end|>\n"
    "<|im_start|>assistant\n",
    "<|im_start|>system\nYou are a terse assistant.<|im_end|>\n<|im_start|>user\nWrite a haiku "
    "about rain.<|im_end|>\n<|im_start|>assistant\nSoft rain on the roof",
    "The following are multiple choice questions (with answers) about astronomy.\n\n"
    "Which planet has the most massive atmosphere among the rocky planets?\nA. Mercury\nB. Venus\n"
    "C. Earth\nD. Mars\nAnswer: B\n\nWhat causes the seasons on Earth?\n"
    "A. The distance from the Sun\nB. The tilt of the axis\nC. Sunspots\nD. The Moon\nAnswer:",
    "The following are questions (with answers) about anatomy.\n\nQuestion: Which bone is the "
    "longest of the human body?\nAnswer: The femur",
    "The following are multiple choice questions (with answers) about elementary mathematics.\n\n"
    "A box holds 12 rows of 8 apples. 17 apples are bad. How many good apples are there?\n"
    "A. 96\nB. 79\nC. 81\nD. 113\nAnswer:",
    # Longer: some hundred tokens
    "The history of the bicycle begins in the early nineteenth century, when a German baron built a "
    "wooden machine with two wheels in line and a handlebar that steered the front one. The rider "
    "sat astride and pushed along the ground with the feet, so that on a good road the machine was "
    "faster than a walking man. Pedals came half a century later, first fixed to the front wheel; "
    "a larger wheel then meant more speed, and the wheel grew until the rider sat at the height of "
    "a tall man's shoulder. A fall from there was no joke. The safety bicycle of the 1880s put both "
    "feet near the ground again: two wheels of equal size, a chain to the rear one, and soon tyres "
    "filled with air. Its outline has hardly changed since. What did change was who could ride: "
    "the machine became cheap, and for many people, women among them, it was the first means of "
    "going where they liked without asking. Newspapers worried about it; factories made more of "
    "them. Today there are more than a billion bicycles in the world, about twice as many as",
]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    a = p.parse_args()
    tokenizer = common.load_tokenizer(a.model)
    vocabulary = llama_cpp.Llama(a.model, vocab_only=True, verbose=False)
    prompts = []
    for text in TEXTS:
        ids = common.encode(tokenizer, text)
        theirs = vocabulary.tokenize(text.encode(), add_bos=False, special=True)
        assert ids == theirs, (text, ids, theirs)
        prompts.append({"text": text, "ids": ids})
    assert len(prompts) == 50 and len({p["text"] for p in prompts}) == 50
    out = pathlib.Path(__file__).with_name("logits_prompts.json")
    lines = ",\n".join("  " + json.dumps(p, ensure_ascii=False) for p in prompts)
    head = json.dumps(common.versions("tokenizers", "llama_cpp_python", "gguf"))
    out.write_text(f'{{"peers": {head},\n "model_sha256": "{common.sha256(a.model)}",\n'
                   f' "prompts": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{len(prompts)} prompts, {sum(len(p['ids']) for p in prompts)} tokens")


if __name__ == "__main__":
    main()
