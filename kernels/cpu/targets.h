// Owns the list of instruction sets compiled: AVX-512, AVX2 (or NEON), and one portable fallback of
// one lane. Included before any Highway header by every file that has per-target code, so that all
// agree on it.
#pragma once

#define HWY_BROKEN_EMU128 1  // the fallback is HWY_SCALAR with every compiler
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
