#include "engine/convert/options.h"

#include <fmt/format.h>

#include "engine/model_file_error.h"

namespace engine::convert {

const char* partition_name(Partition p) {
  static constexpr const char* kNames[] = {"coactivation", "parameters", "random", "importance"};
  return kNames[static_cast<int>(p)];
}

const char* router_fit_name(RouterFit r) {
  static constexpr const char* kNames[] = {"ridge", "cmoe", "gate_first", "exact_norm", "static"};
  return kNames[static_cast<int>(r)];
}

void check_options(const Options& o, const ModelConfig& parent, int64_t width,
                   const std::string& file) {
  if (parent.moe.n_experts != 1) {
    throw ModelFileError(fmt::format("{}: has {} experts already (family {}), want a dense model",
                                     file, parent.moe.n_experts, parent.family));
  }
  if (o.n_experts < 2 || o.n_experts > kMaxBudget) {
    throw OptionError(fmt::format("{} experts, want 2 to {}", o.n_experts, kMaxBudget));
  }
  if (o.n_shared < 0 || o.n_shared >= o.n_experts) {
    throw OptionError(fmt::format("{} shared experts of {}, want 0 to {}", o.n_shared, o.n_experts,
                                  o.n_experts - 1));
  }
  if (width % o.n_experts != 0) {
    throw OptionError(
        fmt::format("{}: its blocks are {} neurons wide, which {} experts do not divide", file,
                    width, o.n_experts));
  }
  if (o.n_representatives < 1 || o.n_representatives > width / o.n_experts) {
    throw OptionError(fmt::format("{} representative neurons per expert, want 1 to {}",
                                  o.n_representatives, width / o.n_experts));
  }
  if (o.dtype != kernels::Dtype::f32 && o.dtype != kernels::Dtype::f16) {
    throw OptionError(fmt::format("type {}, want f32 or f16", kernels::dtype_name(o.dtype)));
  }
}

}  // namespace engine::convert
