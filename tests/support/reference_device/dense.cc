// Owns the ops whose rows do not know of each other: embedding, norms, products, activations.
#include <cmath>
#include <vector>

#include "tests/support/reference_device/element.h"
#include "tests/support/reference_device/ops.h"

namespace reference_device {

void embed(MoevalDevice& device, int32_t type, const void* table, const int32_t* tokens, int64_t m,
           int64_t d, float* x) {
  device.memory.array<int32_t>(tokens, m, "embed: tokens");
  device.memory.array<float>(x, m * d, "embed: x");
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t r = 0; r < m; ++r) {
      if (tokens[r] < 0) throw DeviceError("embed: token " + std::to_string(tokens[r]));
      const T* row = static_cast<const T*>(table) + tokens[r] * d;
      device.memory.array<T>(row, d, "embed: row of the table");
      for (int64_t i = 0; i < d; ++i) x[r * d + i] = value_of(row[i]);
    }
  });
}

void rms_norm(MoevalDevice& device, int32_t type, const float* x, const int32_t* rows, int64_t m,
              int64_t d, const float* weight, float eps, void* y) {
  if (rows) device.memory.array<int32_t>(rows, m, "rms_norm: rows");
  device.memory.array<float>(weight, d, "rms_norm: weight");
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    T* to = device.memory.array<T>(y, m * d, "rms_norm: y");
    for (int64_t r = 0; r < m; ++r) {
      const float* row = x + (rows ? rows[r] : r) * d;
      device.memory.array<float>(row, d, "rms_norm: row of x");
      double sum = 0;
      for (int64_t i = 0; i < d; ++i) sum += static_cast<double>(row[i]) * row[i];
      const double scale = 1 / std::sqrt(sum / static_cast<double>(d) + eps);
      for (int64_t i = 0; i < d; ++i) store(row[i] * scale * weight[i], to[r * d + i]);
    }
  });
}

void matmul(MoevalDevice& device, int32_t type, const void* x, int64_t m, const void* w,
            int64_t n_out, int64_t n_in, const float* bias, int32_t y_type, int32_t accumulate,
            void* y) {
  if (y_type != kDeviceF32 && y_type != type) {
    throw DeviceError("matmul: y is neither fp32 nor of the type of x and w");
  }
  if (accumulate != 0 && y_type != kDeviceF32) {
    throw DeviceError("matmul: only an fp32 y can be added to");
  }
  if (bias) device.memory.array<float>(bias, n_out, "matmul: bias");
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    const T* rows = device.memory.array<T>(x, m * n_in, "matmul: x");
    const T* weights = device.memory.array<T>(w, n_out * n_in, "matmul: w");
    std::vector<double> weight(static_cast<size_t>(n_in));
    with_type(y_type, [&](auto y_zero) {
      auto* to = device.memory.array<decltype(y_zero)>(y, m * n_out, "matmul: y");
      for (int64_t o = 0; o < n_out; ++o) {
        for (int64_t i = 0; i < n_in; ++i) weight[i] = value_of(weights[o * n_in + i]);
        for (int64_t r = 0; r < m; ++r) {
          double sum = bias ? bias[o] : 0;
          for (int64_t i = 0; i < n_in; ++i) sum += value_of(rows[r * n_in + i]) * weight[i];
          if (accumulate != 0) sum += value_of(to[r * n_out + o]);
          store(sum, to[r * n_out + o]);
        }
      }
    });
  });
}

void norm_matmul(MoevalDevice& device, const MoevalNormMatmul& p) {
  rms_norm(device, p.type, p.x, p.rows, p.m, p.d, p.norm_weight, p.eps, p.normed);
  matmul(device, p.type, p.normed, p.m, p.w, p.n_out, p.d, p.bias, p.y_type, 0, p.y);
}

void swiglu(MoevalDevice& device, int32_t type, const void* gate, const void* up, int64_t m,
            int64_t n, int32_t absolute, void* h) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    const T* gates = device.memory.array<T>(gate, m * n, "swiglu: gate");
    const T* ups = device.memory.array<T>(up, m * n, "swiglu: up");
    T* to = device.memory.array<T>(h, m * n, "swiglu: h");
    for (int64_t i = 0; i < m * n; ++i) {
      const double v = silu(value_of(gates[i])) * value_of(ups[i]);
      store(absolute != 0 ? std::abs(v) : v, to[i]);
    }
  });
}

void gate_scores(MoevalDevice& device, int32_t type, const void* gates, const float* scale,
                 int64_t m, int64_t n_routed, int64_t width, float* scores) {
  const int64_t n = n_routed * width;
  device.memory.array<float>(scale, n, "gate_scores: scale");
  device.memory.array<float>(scores, m * n_routed, "gate_scores: scores");
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    const T* gate = device.memory.array<T>(gates, m * n, "gate_scores: gates");
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t e = 0; e < n_routed; ++e) {
        double sum = 0;
        for (int64_t i = e * width; i < (e + 1) * width; ++i) {
          sum += std::abs(silu(value_of(gate[r * n + i])) * scale[i]);
        }
        store(sum, scores[r * n_routed + e]);
      }
    }
  });
}

}  // namespace reference_device
