#!/usr/bin/env python3
"""Trains tiny tokenizers with Hugging Face tokenizers, one folder each, and writes beside each
tokenizer.json the hashes of the ids that they give (expected.txt: one hash per line; line n is
corpus_line(34 n) of line_corpus.cc, once without and once with special tokens parsed).

    cmake --build build/release --target tokenizer_corpus_dump
    make_fixtures.py build/release/tokenizer_corpus_dump
"""

import json
import pathlib
import sys

import tokenizers
from tokenizers import (AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

import peers
from make_goldens import fnv, read_lines

HERE = pathlib.Path(__file__).parent
STEP, COUNT = 34, 300


def byte_level(pre, normalizer, special, **model):
    tok = Tokenizer(models.BPE(**model))
    tok.pre_tokenizer = pre
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=620, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tok, trainer


def sentencepiece(normalizer, pre):
    tok = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tok.normalizer = normalizer
    if pre:
        tok.pre_tokenizer = pre
    special = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                  limit_alphabet=90, max_token_length=12)
    return tok, trainer


def finish(name, tok, lines, added=(), config=None, plain_bytes=False, trainer=None):
    tok.train_from_iterator(lines, trainer)
    form = json.loads(tok.to_str())
    if plain_bytes:  # byte tokens are ordinary entries in the published files
        form["added_tokens"] = [t for t in form["added_tokens"] if not t["content"].startswith("<0x")]
    tok = Tokenizer.from_str(json.dumps(form))
    for token in added:
        (tok.add_special_tokens if token.special else tok.add_tokens)([token])
    if config and "bos_token" in config:
        bos = config["bos_token"]
        tok.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tok.token_to_id(bos))])
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    hashes = []
    for special in (False, True):
        ids = peers.encode_hf(tok, [lines[STEP * n] for n in range(COUNT)], special)
        hashes += [f"{fnv([i]):016x}" for i in ids]
    header = f"# Hugging Face tokenizers {tokenizers.__version__}, made by make_fixtures.py"
    (folder / "expected.txt").write_text("\n".join([header, *hashes]) + "\n")


def main():
    lines = read_lines(sys.argv[1])
    digits = pre_tokenizers.Digits(individual_digits=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

    tok, trainer = byte_level(pre_tokenizers.Sequence([digits, peers.byte_level(True)]), None,
                              special)
    finish("bpe-smollm", tok, lines, trainer=trainer,
           config=dict(eos_token="<|im_end|>", add_bos_token=False))

    tok, trainer = byte_level(peers.byte_level(True), normalizers.NFC(), special[:1])
    finish("bpe-gpt2-added", tok, lines, trainer=trainer, added=[
        AddedToken("    ", normalized=True, special=False),
        AddedToken("  ", normalized=True, special=False),
        AddedToken("<think>", lstrip=True, rstrip=True, normalized=False, special=False),
        AddedToken("caf\u00e9", normalized=True, special=False),
        AddedToken("<|user|>", rstrip=True, normalized=False, special=True)])

    pre = pre_tokenizers.Sequence([peers.split(peers.LLAMA3), peers.byte_level(False)])
    tok, trainer = byte_level(pre, None, [], ignore_merges=True)
    finish("bpe-llama3", tok, lines, trainer=trainer,
           added=[AddedToken(t, normalized=False, special=True)
                  for t in ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")],
           config=dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"))

    pre = pre_tokenizers.Sequence([peers.split(peers.QWEN2), peers.byte_level(False)])
    tok, trainer = byte_level(pre, normalizers.NFC(), special)
    finish("bpe-qwen2", tok, lines, trainer=trainer)

    tok, trainer = sentencepiece(normalizers.Sequence([normalizers.Prepend("\u2581"),
                                                       normalizers.Replace(" ", "\u2581")]), None)
    finish("spm-normalizer", tok, lines, trainer=trainer, plain_bytes=True,
           config=dict(bos_token="<s>", eos_token="</s>"))

    tok, trainer = sentencepiece(None, pre_tokenizers.Metaspace(prepend_scheme="first",
                                                                split=False))
    finish("spm-metaspace", tok, lines, trainer=trainer, plain_bytes=True,
           config=dict(bos_token="<s>", eos_token={"content": "</s>"}))

    tok, trainer = sentencepiece(None, pre_tokenizers.Metaspace(prepend_scheme="always"))
    finish("spm-metaspace-split", tok, lines, trainer=trainer, plain_bytes=True)


if __name__ == "__main__":
    main()
