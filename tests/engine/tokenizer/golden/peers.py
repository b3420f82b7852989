"""Independent tokenizers for make_goldens.py: Hugging Face tokenizers built from a GGUF vocabulary
with the regular expressions that the models publish, and llama.cpp on the file itself."""

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

LETTERS = None  # the long character class of deepseek-llm, given by set_deepseek_letters()


def set_deepseek_letters(text):
    global LETTERS
    LETTERS = text


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
IDEOGRAPHS = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"


def pre_tokenizer(name):
    digits = pre_tokenizers.Digits(individual_digits=True)
    if name in ("gpt-2", "gpt-neox"):
        return byte_level(True)
    if name in ("smollm", "starcoder"):
        return pre_tokenizers.Sequence([digits, byte_level(True)])
    if name in ("llama-bpe", "qwen2"):
        pattern = LLAMA3 if name == "llama-bpe" else QWEN2
        return pre_tokenizers.Sequence([split(pattern), byte_level(False)])
    if name == "deepseek-llm":
        marks = "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
        return pre_tokenizers.Sequence([split("[\r\n]"), split(LETTERS), split(marks),
                                        split("\\s+$"), split(IDEOGRAPHS), digits,
                                        byte_level(False)])
    if name == "deepseek-coder":
        return pre_tokenizers.Sequence([split("[\r\n]"), split("\\s?\\p{L}+"),
                                        split("\\s?\\p{P}+"), split(IDEOGRAPHS), digits,
                                        byte_level(False)])
    raise ValueError(name)


def read_fields(path):
    reader = gguf.GGUFReader(path)
    return lambda key, default=None: (reader.fields[key].contents() if key in reader.fields
                                      else default)


def add_tokens(tok, entries, kinds, phi3):
    for i, (text, kind) in enumerate(zip(entries, kinds)):
        if kind not in (2, 3, 4):
            continue
        rstrip = phi3 and text not in ("<unk>", "<s>", "<|endoftext|>")
        token = AddedToken(text, rstrip=rstrip, normalized=False, special=kind != 4)
        (tok.add_special_tokens if kind != 4 else tok.add_tokens)([token])
        assert tok.token_to_id(text) == i, text


def from_gguf(path):
    get = read_fields(path)
    entries = get("tokenizer.ggml.tokens")
    kinds = get("tokenizer.ggml.token_type")
    vocab = {t: i for i, t in enumerate(entries)}
    if get("tokenizer.ggml.model") == "gpt2":
        merges = []
        for line in get("tokenizer.ggml.merges"):
            cut = line.index(" ", 1)
            merges.append((line[:cut], line[cut + 1:]))
        name = get("tokenizer.ggml.pre", "gpt-neox")
        # Added tokens behind the last ordinary one are not part of the model proper, as in the
        # published files; those are then given their ids in order.
        last = max(i for i in vocab.values() if kinds[i] == 1)
        own = {t: i for t, i in vocab.items() if i <= last}
        tok = Tokenizer(models.BPE(own, merges, ignore_merges=name == "llama-bpe"))
        if name in ("qwen2", "gpt-neox"):
            tok.normalizer = normalizers.NFC()
        tok.pre_tokenizer = pre_tokenizer(name)
        tok.decoder = decoders.ByteLevel()
        add_tokens(tok, entries, kinds, False)
        return tok
    # SentencePiece: every split of a piece into two pieces is a merge, best score first.
    scores = get("tokenizer.ggml.scores")
    merges = []
    for piece, i in vocab.items():
        if kinds[i] != 1:
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocab and right in vocab and kinds[vocab[left]] == kinds[vocab[right]] == 1:
                merges.append((-scores[i], vocab[left], vocab[right], left, right))
    merges.sort(key=lambda m: (m[0], m[1], m[2]))
    last = max(i for i in vocab.values() if kinds[i] == 1)
    own = {t: i for t, i in vocab.items() if i <= last}
    tok = Tokenizer(models.BPE(own, [(m[3], m[4]) for m in merges], unk_token="<unk>",
                               fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"),
                                           normalizers.Replace(" ", "\u2581")])
    add_tokens(tok, entries, kinds, "phi3" in get("general.architecture"))
    return tok


def encode_hf(tok, lines, special):
    tok.encode_special_tokens = not special
    return [e.ids for e in tok.encode_batch(lines, add_special_tokens=False)]


class LlamaCpp:
    def __init__(self, path, overrides=None):
        import llama_cpp
        self.version = llama_cpp.__version__
        self.llama = llama_cpp.Llama(path, vocab_only=True, verbose=False, kv_overrides=overrides)

    def encode(self, lines, special):
        return [self.llama.tokenize(line.encode(), add_bos=False, special=special)
                for line in lines]
