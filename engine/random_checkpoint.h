// Owns checkpoints of random weights: models of named shapes to time without a file. Their speed is
// that of a trained model of the shape (a router of random weights spreads tokens over the
// experts); their answers mean nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint.h"

namespace engine {

// smollm2-135m, smollm2-135m-nested, olmoe, mixtral-8x7b, qwen3-30b-a3b.
std::vector<std::string> shape_names();

// "NAME" or "NAME:LAYERS", the published shape with fewer layers. Throws ModelFileError, one line:
// unknown name (with the nearest), layers out of range.
ModelConfig named_shape(std::string_view);

// Types that weights are made in: f32, f16, bf16, q8_0, q4_0, q4_1.
std::vector<kernels::Dtype> random_dtypes();

// Matrices of the feed-forward blocks, attention, embedding and head in `dtype`, where their rows
// fill its blocks; routers, norms and other matrices in f32. Elements are uniform of variance 1 /
// n_in, norms are 1. A function of its arguments, the same on every platform.
std::unique_ptr<Checkpoint> make_random_checkpoint(const ModelConfig&, kernels::Dtype dtype,
                                                   uint64_t seed);

// Bytes that the weights will take.
uint64_t random_checkpoint_bytes(const Checkpoint&);

}  // namespace engine
