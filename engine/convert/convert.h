// Owns the conversion of a dense checkpoint into nested experts, from calibration windows to the
// finished folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/convert/calibration.h"
#include "engine/convert/options.h"

namespace engine::convert {

struct Job {
  const Checkpoint& parent;
  std::string parent_sha256;  // of its files
  std::vector<Window> windows;
  std::string calibration;  // where they come from, for the record
  std::string calibration_sha256;
  Options options;
  std::filesystem::path out;        // the folder to make
  std::filesystem::path tokenizer;  // file or folder to take it from; empty = none
  int threads = 1;
};

// Layers done of all, the first ones perhaps by an earlier call, and what goes on.
using OnProgress = std::function<void(int32_t done, int32_t all, const std::string& note)>;

struct Outcome {
  bool finished = false;         // else stopped; the next call with the same job goes on
  int32_t layers_resumed = 0;    // planned by an earlier call
  double shared_importance = 0;  // means over the layers, see LayerPlan
  double router_explained = 0;
};

// Works in `out`.partial, one file per planned layer, and renames it at the end; so `out` is whole
// or not there, and the bytes do not depend on threads or interruptions. Throws OptionError (out
// exists, the parent cannot be cut so), ModelFileError (the parent is no dense model; too few
// calibration tokens, or none that a router can be fitted to), OtherConversion (out.partial was
// begun by another job), std::system_error (the disk; another process at work in out.partial).
Outcome convert(const Job&, const OnProgress&, const std::atomic<bool>& stop);

// Fewest calibration tokens for a parent of this width: twice the features of the router's fit.
int64_t least_tokens(const ModelConfig&, const Options&);

}  // namespace engine::convert
