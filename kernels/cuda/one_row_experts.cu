// Owns the experts of a step of one row, and their sum into the residual stream: two kernels.
#include <algorithm>

#include "kernels/cuda/chain.cuh"
#include "kernels/cuda/one_row.cuh"
#include "kernels/cuda/row_stream.cuh"

namespace moeval_cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32, kCtasPerSm = 2;
constexpr int kGateStretch = 4, kDownStretch = 4;  // vectors of a lane, of each of two rows at once
constexpr int64_t kMostShared = 48 << 10;

struct ExpertArgs {
  const int16_t* ids;  // of the row: 16, ascending, then -1
  const void *x, *gate, *up, *down;
  void* hidden;  // [16, width]
  int64_t n_units;
  int d, width;
  // Of the sum.
  const float *weights, *means;
  int n_experts;
  float* sum;
};

// hidden[j, i] = silu(gate x) * (up x) of neuron i of the row's j-th expert: a warp for each.
template <class T>
__global__ void __launch_bounds__(kThreads, 3) gate_up_kernel(const ExpertArgs a) {
  extern __shared__ uint4 row[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int n = a.d / kValues<T>;
  await_previous_alone();  // which weights are read depends on it
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  int64_t unit = static_cast<int64_t>(blockIdx.x) * kWarps + warp;
  uint4 g[kGateStretch], u[kGateStretch];
  // The unit, or the end where its expert is not there: later ones are not there either.
  const auto find = [&](int64_t at, int64_t& neuron) {
    if (at >= a.n_units) return a.n_units;
    const int j = static_cast<int>(at / a.width), id = __ldcg(a.ids + j);
    if (id < 0) return a.n_units;
    neuron = (static_cast<int64_t>(id) * a.width + at % a.width) * a.d;
    return at;
  };
  const auto load = [&](int64_t neuron, int first) {
    load_stretch(g, static_cast<const T*>(a.gate) + neuron, first, n, lane);
    load_stretch(u, static_cast<const T*>(a.up) + neuron, first, n, lane);
  };
  int64_t neuron = 0;
  unit = find(unit, neuron);
  if (unit < a.n_units) load(neuron, 0);
  for (int i = threadIdx.x; i < n; i += kThreads) row[i] = static_cast<const uint4*>(a.x)[i];
  __syncthreads();
  int first = 0;
  float gate = 0, up = 0;
  while (unit < a.n_units) {
    gate = dot_stretch<T>(g, row, first, n, lane, gate);
    up = dot_stretch<T>(u, row, first, n, lane, up);
    const int64_t done = unit;
    first += kGateStretch * 32;
    const bool ends = first >= n;
    if (ends) first = 0, unit = find(unit + step, neuron);
    if (unit < a.n_units) load(neuron, first);
    if (!ends) continue;
    const float value = swiglu_value(lane_sum(gate), lane_sum(up));
    if (lane == 0) static_cast<T*>(a.hidden)[done] = from_float<T>(value);
    gate = up = 0;
  }
}

// sum[i] += sum_j weights[j] * (down hidden[j])[i] + means of the experts left out: a warp for each
// i. The row's choice was made two kernels ago, so weights are asked for before hidden is there.
template <class T>
__global__ void __launch_bounds__(kThreads, 3) down_kernel(const ExpertArgs a) {
  extern __shared__ uint4 hidden[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int n = a.width / kValues<T>;
  const int stretches = (n + kDownStretch * 32 - 1) / (kDownStretch * 32);
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  int64_t out = static_cast<int64_t>(blockIdx.x) * kWarps + warp;
  // Lane j holds the j-th choice.
  const int id = lane < kDeviceMaxChosen ? __ldcg(a.ids + lane) : -1;
  const float gate = id >= 0 ? __ldcg(a.weights + lane) : 0.0f;
  const int chosen = __popc(__ballot_sync(0xffffffffu, id >= 0));
  const int parts = chosen * stretches;
  uint4 w[2][kDownStretch];
  const auto load = [&](uint4(&to)[kDownStretch], int part) {
    const int j = min(part / stretches, chosen - 1);
    const int64_t e = __shfl_sync(0xffffffffu, id, j);
    const int first = part % stretches * kDownStretch * 32;
    load_stretch(to, static_cast<const T*>(a.down) + (e * a.d + out) * a.width, first,
                 part < parts ? n : 0, lane);
  };
  if (chosen > 0 && out < a.d) load(w[0], 0), load(w[1], 1);
  await_previous();
  if (chosen == 0) return;  // a padding row
  for (int i = threadIdx.x; i < chosen * n; i += kThreads) {
    hidden[i] = static_cast<const uint4*>(a.hidden)[i];
  }
  __syncthreads();
  while (out < a.d) {
    float sum = 0;
    const float before = lane == 0 ? a.sum[out] : 0.0f;
    for (int part = 0; part < parts; part += 2) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int at = part + h;
        if (at < parts) {
          const int j = at / stretches, first = at % stretches * kDownStretch * 32;
          const float product = dot_stretch<T>(w[h], hidden + j * n, first, n, lane, 0.0f);
          sum = fmaf(__shfl_sync(0xffffffffu, gate, j), product, sum);
        }
        if (at + 2 < parts) load(w[h], at + 2);
      }
    }
    if (a.means) {
      for (int e = lane; e < a.n_experts; e += 32) {
        bool runs = false;
        for (int j = 0; j < chosen; ++j) runs = runs || __ldcg(a.ids + j) == e;
        if (!runs) sum += a.means[static_cast<int64_t>(e) * a.d + out];
      }
    }
    const int64_t done = out;
    out += step;
    if (out < a.d) load(w[0], 0), load(w[1], 1);
    sum = lane_sum(sum);
    if (lane == 0) a.sum[done] = before + sum;
  }
}

template <class T>
void run(MoevalDevice& device, const ExpertArgs& a, int64_t places) {
  const auto ctas = [&](int64_t warps) {
    return static_cast<unsigned>(
        std::min<int64_t>(ceil_div(warps, kWarps), kCtasPerSm * device.sms()));
  };
  launch_chained(device, gate_up_kernel<T>, ctas(a.n_units), kThreads, a.d * sizeof(T),
                 "gate and up of one row", a);
  launch_chained(device, down_kernel<T>, ctas(a.d), kThreads,
                 static_cast<size_t>(places * a.width) * sizeof(T), "down of one row", a);
}

}  // namespace

bool experts_one_row_takes(const MoevalExperts& e) {
  return one_row_takes(e.type, e.d) && one_row_takes(e.type, e.width) &&
         std::min<int64_t>(e.places, kDeviceMaxChosen) * e.width * 2 <= kMostShared &&
         e.d * 2 <= kMostShared;
}

void experts_one_row(MoevalDevice& device, const MoevalExperts& e, int32_t n_experts,
                     const MoevalCombine& c) {
  const int64_t places = std::min<int64_t>(e.places, kDeviceMaxChosen);
  const ExpertArgs a{c.ids,
                     e.x,
                     e.gate,
                     e.up,
                     e.down,
                     e.hidden,
                     places * e.width,
                     static_cast<int>(e.d),
                     static_cast<int>(e.width),
                     c.weights,
                     c.means,
                     n_experts,
                     c.x};
  if (e.type == kDeviceF16) return run<__half>(device, a, places);
  run<bf16>(device, a, places);
}

}  // namespace moeval_cuda
