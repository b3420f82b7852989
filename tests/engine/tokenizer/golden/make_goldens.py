#!/usr/bin/env python3
"""Writes corpus_hashes.txt: for each vocabulary, hashes of the ids that Hugging Face tokenizers give
for the lines of line_corpus.cc, 100 lines a hash; and compares them with llama.cpp line by line.

    cmake --build build/release --target tokenizer_corpus_dump
    make_goldens.py DUMP VOCABULARY...

DUMP: the program tokenizer_corpus_dump. VOCABULARY: name=path of a .gguf or of a folder with
tokenizer.json. Needs the packages tokenizers, gguf and llama-cpp-python.
"""

import pathlib
import struct
import subprocess
import sys

import tokenizers
from tokenizers import Tokenizer

import peers

HERE = pathlib.Path(__file__).parent
LINES_PER_HASH = 100


def read_lines(program):
    data = subprocess.run([program], capture_output=True, check=True).stdout
    lines, at = [], 0
    while at < len(data):
        n = struct.unpack_from("<I", data, at)[0]
        lines.append(data[at + 4:at + 4 + n].decode())
        at += 4 + n
    return lines


def fnv(blocks):
    value = 0xCBF29CE484222325
    for ids in blocks:
        for b in struct.pack(f"<{len(ids) + 1}I", *ids, 0xFFFFFFFF):
            value = ((value ^ b) * 0x100000001B3) & (2**64 - 1)
    return value


def compare(name, what, lines, expected, got):
    bad = [i for i, (a, b) in enumerate(zip(expected, got)) if a != b]
    print(f"{name}: {what}: {len(bad)} of {len(lines)} lines differ from tokenizers")
    for i in bad[:12]:
        a, b = expected[i], got[i]
        k = next((k for k in range(min(len(a), len(b))) if a[k] != b[k]), min(len(a), len(b)))
        print(f"   line {i} {lines[i][:70]!a}\n      tokenizers {a[max(0, k - 2):k + 6]}"
              f"  {what} {b[max(0, k - 2):k + 6]}")
    return bad


def deepseek_letters():
    text = (HERE / "../../../../engine/tokenizer/known_patterns.h").read_text()
    body = text.split("kDeepseekLettersRegex =")[1].split(";")[0]
    joined = "".join(part.split('"')[0] for part in body.split('"')[1::2])
    return joined.replace("\\\\", "\\").encode("latin-1").decode("unicode_escape") \
        .replace("\x5cs", "\\s")


def main():
    dump, vocabularies = sys.argv[1], sys.argv[2:]
    lines = read_lines(dump)
    peers.set_deepseek_letters(deepseek_letters())
    out = [f"# ids by Hugging Face tokenizers {tokenizers.__version__}; {len(lines)} lines of "
           f"line_corpus.cc, one hash for {LINES_PER_HASH} lines; made by make_goldens.py",
           "# vocabulary, special tokens parsed (1) or not (0), hashes"]
    for spec in vocabularies:
        name, path = spec.split("=", 1)
        path = pathlib.Path(path)
        if path.is_dir():
            tok, llama = Tokenizer.from_file(str(path / "tokenizer.json")), None
        else:
            tok = peers.from_gguf(str(path))
            override = {"tokenizer.ggml.pre": "gpt-2"} if name == "gpt-neox" else None
            llama = peers.LlamaCpp(str(path), override)
        for special in (False, True):
            ids = peers.encode_hf(tok, lines, special)
            if llama:
                compare(name, f"llama.cpp{' special' if special else ''}", lines, ids,
                        llama.encode(lines, special))
            hashes = [f"{fnv(ids[i:i + LINES_PER_HASH]):016x}"
                      for i in range(0, len(ids), LINES_PER_HASH)]
            out.append(" ".join([name, str(int(special)), *hashes]))
    (HERE / "corpus_hashes.txt").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
