#!/usr/bin/env python3
"""Makes tokenizer.json folders of Llama 3 and Qwen 2 from the tiktoken files in two PyPI packages:

    pip download --no-deps llama-models==0.3.0 dashscope     (then unzip both)
    make_tokenizer_json.py llama_models/llama3/tokenizer.model dashscope/resources/qwen.tiktoken OUT

OUT/llama-3 and OUT/qwen2 then hold tokenizer.json. Point MOEVAL_TOKENIZERS at OUT to run the tests
that need them. Merges are recovered as every split of a token into two of lower rank, in the order of
the token's rank; pre-tokenizers and normalisers are those of the published files.
"""

import base64
import json
import pathlib
import sys

from peers import LLAMA3, QWEN2


def byte_symbols():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {b: chr(b) for b in printable}
    rest = [b for b in range(256) if b not in symbols]
    symbols.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return symbols


SYMBOLS = byte_symbols()


def spell(data):
    return "".join(SYMBOLS[b] for b in data)


def read_tiktoken(path):
    rows = (line.split() for line in open(path, "rb") if line.strip())
    return {base64.b64decode(token): int(rank) for token, rank in rows}


def recover_merges(ranks):
    merges = []
    for token, rank in ranks.items():
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))
                if token[:i] in ranks and token[i:] in ranks]
        cuts.sort(key=lambda p: (ranks[p[0]], ranks[p[1]]))
        merges += [(rank, [spell(a), spell(b)]) for a, b in cuts]
    merges.sort(key=lambda m: m[0])
    return [pair for _, pair in merges]


def write(folder, ranks, pattern, added, nfc, ignore_merges):
    split = dict(type="Split", pattern=dict(Regex=pattern), behavior="Isolated", invert=False)
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
    form = dict(
        version="1.0", truncation=None, padding=None,
        added_tokens=[dict(id=len(ranks) + i, content=t, single_word=False, lstrip=False,
                           rstrip=False, normalized=False, special=True)
                      for i, t in enumerate(added)],
        normalizer=dict(type="NFC") if nfc else None,
        pre_tokenizer=dict(type="Sequence", pretokenizers=[split, level]),
        post_processor=None, decoder=level,
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                   end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                   ignore_merges=ignore_merges,
                   vocab={spell(t): r for t, r in ranks.items()}, merges=recover_merges(ranks)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(form, ensure_ascii=False))


def main():
    llama, qwen, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    named = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
             "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
             "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
             "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
    named += [f"<|reserved_special_token_{i}|>" for i in range(3, 3 + 256 - len(named))]
    write(out / "llama-3", read_tiktoken(llama), LLAMA3, named, False, True)
    write(out / "qwen2", read_tiktoken(qwen), QWEN2,
          ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], True, False)


if __name__ == "__main__":
    main()
