#!/usr/bin/env python3
"""Renders conversations with jinja2, set up as transformers does, and the models' own templates.

    make_chat_goldens.py FOLDER

FOLDER holds NAME.jinja files as the models publish them (chat_template in tokenizer_config.json);
they are not kept here. Writes chat_goldens.json and prints the hash of every template, which is
what engine/tokenizer/chat_template.cc compares.
"""

import hashlib
import json
import pathlib
import re
import sys

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent

S, U, A = "system", "user", "assistant"
CONVERSATIONS = [
    [(U, "Hello")],
    [(S, "Be brief."), (U, "  What is 2 + 2?\n")],
    [(U, "Hi"), (A, " Hi there \n"), (U, "Who are you?")],
    [(S, ""), (U, "Hello")],
    [(S, "Be\nkind. "), (U, "One"), (A, "Two"), (U, "Three"), (A, "Four")],
    [(U, "Think"), (A, "<think>\nhm\n</think>\n\nDone."), (U, "More"),
     (A, "<think>\n\n</think>\n\nOk")],
    [(U, "a <think>b</think>"), (A, "no thought")],
    [(U, "{{ 7 * 7 }} {% raw %}"), (A, "'quoted' \\n \"text\"")],
    [(A, "First?"), (U, "No.")],
    [(U, "x"), (S, "Late system."), (U, "y")],
]


def key(text):
    text = text.replace("\\n", "\n").rstrip(" \t\r\n")
    default = ""
    for m in re.finditer(r"'<\|im_start\|>system\n(.*?)<\|im_end\|>\n'", text, re.S):
        if m.group(1) and not re.search(r"['\\{}]", m.group(1)):
            default = m.group(1)
            text = text[:m.start(1)] + text[m.end(1):]
            break
    value = 0xCBF29CE484222325
    for b in text.encode():
        value = ((value ^ b) * 0x100000001B3) & (2**64 - 1)
    return default, value


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.globals["raise_exception"] = raise_exception
    cases = []
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
        text = path.read_text()
        default, value = key(text)
        sha = hashlib.sha256(text.encode()).hexdigest()
        print(f"{path.stem:20} {value:#018x}  sha256 {sha[:16]}  default {default!r}")
        template = env.from_string(text)
        for turns in CONVERSATIONS:
            for opened in (False, True):
                try:
                    got = template.render(
                        messages=[dict(role=r, content=c) for r, c in turns],
                        add_generation_prompt=opened, bos_token="<s>", eos_token="</s>")
                except jinja2.exceptions.TemplateError:
                    got = None
                cases.append(dict(template=path.stem, default_system=default, turns=turns,
                                  open=opened, text=got))
    out = dict(peer=f"jinja2 {jinja2.__version__}", cases=cases)
    (HERE / "chat_goldens.json").write_text(json.dumps(out, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
