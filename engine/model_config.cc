#include "engine/model_config.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/model_file_error.h"

namespace engine {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 20;

class Check {
 public:
  explicit Check(const std::string& file) : file_(file) {}

  void range(const char* field, int64_t value, int64_t min, int64_t max) const {
    if (value < min || value > max) {
      throw ModelFileError(
          fmt::format("{}: {} is {}, want {} to {}", file_, field, value, min, max));
    }
  }
  void divides(const char* field, int64_t value, const char* whole, int64_t of) const {
    if (of % value != 0) {
      throw ModelFileError(
          fmt::format("{}: {} {} does not divide {} {}", file_, field, value, whole, of));
    }
  }
  void even(const char* field, int64_t value) const {
    if (value % 2 != 0) {
      throw ModelFileError(fmt::format("{}: {} is {}, want an even number", file_, field, value));
    }
  }
  // NaN fails.
  void between(const char* field, float value, float above, float below) const {
    if (!(value > above && value < below)) {
      throw ModelFileError(fmt::format("{}: {} is {}, want above {} and below {}", file_, field,
                                       value, above, below));
    }
  }

 private:
  const std::string& file_;
};

void validate_rope(const RopeConfig& r, int64_t d_head, const Check& check) {
  check.between("rope.theta", r.theta, 0.0f, 1e15f);
  check.range("rope.d_rot", r.d_rot, 2, d_head);
  check.even("rope.d_rot", r.d_rot);
  check.between("rope.factor", r.factor, 0.0f, 1e6f);
  if (r.scaling == RopeScaling::llama3) {
    check.between("rope.low_freq_factor", r.low_freq_factor, 0.0f, 1e6f);
    check.between("rope.high_freq_factor", r.high_freq_factor, r.low_freq_factor, 1e6f);
    check.range("rope.original_context", r.original_context, 1, int64_t{1} << 31);
  }
  if (r.frequency_factors.empty()) return;
  check.range("number of rope.frequency_factors", static_cast<int64_t>(r.frequency_factors.size()),
              r.d_rot / 2, r.d_rot / 2);
  for (const float f : r.frequency_factors) check.between("rope.frequency_factors", f, 0.0f, 1e6f);
}

void validate_moe(const MoeConfig& moe, const Check& check) {
  check.range("moe.n_experts", moe.n_experts, 1, 512);
  check.range("moe.n_shared", moe.n_shared, 0, moe.n_experts);
  check.range("moe.trained_k", moe.trained_k, 1, moe.max_k());
  if (moe.n_shared > 0) check.range("moe.d_shared", moe.d_shared, 1, kMaxWidth);
  if (moe.n_routed() == 0) return;
  check.range("moe.d_expert", moe.d_expert, 1, kMaxWidth);
  check.range("moe.router", static_cast<int64_t>(moe.router), 1,
              static_cast<int64_t>(RouterKind::exact_norm));
  if (moe.router == RouterKind::representative) {
    check.range("moe.n_representatives", moe.n_representatives, 1, moe.d_expert);
  }
}

}  // namespace

void ModelConfig::validate(const std::string& file) const {
  const Check check(file);
  check.range("n_layers", n_layers, 1, 512);
  check.range("d_model", d_model, 1, kMaxWidth);
  check.range("n_heads", n_heads, 1, 4096);
  check.range("n_kv_heads", n_kv_heads, 1, n_heads);
  check.divides("n_kv_heads", n_kv_heads, "n_heads", n_heads);
  check.range("d_head", d_head, 2, 4096);
  check.range("vocab", vocab, 1, int64_t{1} << 24);
  check.range("max_tokens", max_tokens, 1, int64_t{1} << 31);
  if (sliding_window != 0) check.range("sliding_window", sliding_window, max_tokens, INT64_MAX);
  check.between("norm_eps", norm_eps, 0.0f, 1.0f);
  validate_rope(rope, d_head, check);
  validate_moe(moe, check);
}

}  // namespace engine
