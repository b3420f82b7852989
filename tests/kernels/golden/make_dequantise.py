"""Writes dequantise.txt: for each weight type random stored blocks and the floats that the Python
package gguf 0.19.0 (numpy) makes of them. One line per case: type, stored bytes, fp32 bytes, in hex.

Run: python make_dequantise.py > dequantise.txt
"""
import importlib.metadata

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

# type, elements, bytes and, per f16 field, its offset in the block
TYPES = [(T.F32, 1, 4, []), (T.F16, 1, 2, [0]), (T.BF16, 1, 2, []), (T.Q8_0, 32, 34, [0]),
         (T.Q4_0, 32, 18, [0]), (T.Q4_1, 32, 20, [0, 2]), (T.Q5_0, 32, 22, [0]),
         (T.Q5_1, 32, 24, [0, 2]), (T.Q4_K, 256, 144, [0, 2]), (T.Q5_K, 256, 176, [0, 2]),
         (T.Q6_K, 256, 210, [208])]
SCALES = [0x3c00, 0x2e66, 0xa8f1, 0x0001, 0x83ff, 0x7bff, 0x8000, 0x0400]  # subnormal, largest, -0

rng = np.random.default_rng(20240601)
print(f"# gguf {importlib.metadata.version('gguf')}, numpy {np.__version__}")
for type_, elements, size, halves in TYPES:
    for case in range(8):
        count = 32 if elements == 1 else 1
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
        if type_ in (T.F32, T.BF16):  # no NaN and no infinity
            blocks[:, -1] &= 0xbf
        for block in blocks:
            for n, at in enumerate(halves):
                half = SCALES[(case + 3 * n) % len(SCALES)]
                if elements == 1:
                    half = int(rng.integers(0, 0x7c00)) | int(rng.integers(0, 2)) << 15
                block[at:at + 2] = [half & 255, half >> 8]
        floats = dequantize(blocks.reshape(1, -1), type_).astype("<f4")
        print(type_.name.lower(), blocks.tobytes().hex(), floats.tobytes().hex())
