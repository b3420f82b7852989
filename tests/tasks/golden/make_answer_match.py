#!/usr/bin/env python3
"""Reference values for tasks/answer_match: the regular expressions of lm-evaluation-harness, by re.

Writes answer_match.json from strings made here. With arguments EXAMPLES.jsonl.gz OUT.json it takes
instead every text of GSM8K's example_model_solutions file, for a comparison by hand.
"""
import gzip
import json
import pathlib
import random
import re
import sys

STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
ANSWER_IS = re.compile(r"(?<=the answer is )(.*)(?=.)")
# This project's: STRICT with a fraction.
PLUS = re.compile(r"#### (\-?[0-9\.\,]+(?:/[0-9]+)?)")
IGNORED = [r",", r"\$", r"(?s).*#### ", r"\.$"]

PIECES = ["#### ", "#### 4", "#### -", "####", "#", " ", "-", "5", "12", ".", ",", "$", "\n", "the answer is ",
          "The answer is ", "(A)", "é", "水", "x", "/", "0", "None", "\u3000", "\t", "\r", "-7", "1,0"]
CHOSEN = ["", "#### 18", "#### 18.", "#### 1,234.50", "#### -3\n", "#### - 3", "##### 4", "#### #### 5",
          "#### \n#### 6", "####7", "#### 5/8", "#### 5/", "#### $5", "cost is $5.00.", "-$5", "--5",
          "1-2", "5 -", "...", ".", "-.", "1.2.3", "12 and 3", "so the answer is (B).",
          "the answer is .", "the answer is ", "the answer is\n", "the answer is \nthe answer is yes.",
          "the answer is the answer is 4.", "the answer is  no .", "the answer is é", "the answer is x水",
          "the answer is a\rb.", "the answer is \u3000[ ] >\u3000.", "The answer is 5.",
          "the answer is yes. the answer is no.", "So the answer is ab cd ef"]


def made_texts():
    draw = random.Random(20240611)
    return CHOSEN + ["".join(draw.choices(PIECES, k=draw.randint(2, 9))) for _ in range(260)]


def first_group(matches, index):
    """What lm-eval's regex filter takes, None for its fallback."""
    if not matches:
        return None
    m = matches[index]
    if isinstance(m, tuple):
        m = [x for x in m if x][0]
    return m.strip()


def normalised(text):
    for pattern in IGNORED:
        text = re.sub(pattern, "", text)
    return text.lower()


def is_ascii_cased(text):
    return all(c == c.lower() or c.isascii() for c in text)


def row(text):
    return {"text": text,
            "strict": first_group(STRICT.findall(text), 0),
            "flexible": first_group(FLEXIBLE.findall(text), -1),
            "plus": first_group(PLUS.findall(text), 0),
            "answer_is": first_group(ANSWER_IS.findall(text), 0),
            "normalised": normalised(text)}


def example_texts(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            for value in json.loads(line).values():
                if isinstance(value, dict):
                    value = value["solution"]
                yield value


def main():
    if len(sys.argv) == 3:
        texts, out = list(example_texts(sys.argv[1])), pathlib.Path(sys.argv[2])
        # Their final answers stand behind "A: ".
        texts += [t.replace("A: ", mark) for t in texts for mark in ("#### ", "So the answer is ")]
    else:
        texts, out = made_texts(), pathlib.Path(__file__).with_name("answer_match.json")
    rows = [row(t) for t in dict.fromkeys(texts) if is_ascii_cased(t)]
    body = ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    out.write_text('{"rows": [\n' + body + "\n]}\n", encoding="utf-8")
    print(len(rows), "rows of", len(texts), "texts")


if __name__ == "__main__":
    main()
