// Owns the norm and the rotary embedding of a piece of a head.
#pragma once

#include "kernels/cuda/context.cuh"

namespace moeval_cuda {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Vector {
  T at[kWidth];
};

// What happens to a head of queries, keys or values.
struct HeadTurn {
  const float* weight;  // of its norm, [d_head]; null: none
  float scale;          // what its norm multiplies by besides
  const float* turn;    // of its position, [d_rot / 2, 2]; null: it does not turn
  int d_head, half;     // half: d_rot / 2
};

// Two vectors of a head and where they begin: elements that turn in pairs if the unit is one of the
// first half / kWidth, and stay as they are otherwise. With kWidth 1, an odd d_head leaves the last
// unit one of them.
template <class T, int kWidth>
struct TurnedUnit {
  Vector<T, kWidth> low, high;
  int first, second;
  bool has_second;

  __device__ void store(T* head) const {
    *reinterpret_cast<Vector<T, kWidth>*>(head + first) = low;
    if (has_second) *reinterpret_cast<Vector<T, kWidth>*>(head + second) = high;
  }
};

// Units of a head: what does not turn is counted too, the last of which may be half a unit.
inline int turn_units(int d_head, int d_rot, int width) {
  return d_rot / 2 / width + (d_head - d_rot + 2 * width - 1) / (2 * width);
}

// Rounded to T after the norm and after the turn.
template <class T, int kWidth, bool kInterleaved>
__device__ TurnedUnit<T, kWidth> turned_unit(const HeadTurn& h, const T* head, int unit) {
  using V = Vector<T, kWidth>;
  const bool is_pair = unit < h.half / kWidth, apart = is_pair && !kInterleaved;
  TurnedUnit<T, kWidth> u;
  u.first = (apart ? 1 : 2) * unit * kWidth;
  u.second = u.first + (apart ? h.half : kWidth);
  u.has_second = u.second < h.d_head;
  u.low = *reinterpret_cast<const V*>(head + u.first);
  u.high = u.has_second ? *reinterpret_cast<const V*>(head + u.second) : u.low;
  if (h.weight) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      u.low.at[i] = from_float<T>(to_float(u.low.at[i]) * h.scale * h.weight[u.first + i]);
      if (u.has_second) {
        u.high.at[i] = from_float<T>(to_float(u.high.at[i]) * h.scale * h.weight[u.second + i]);
      }
    }
  }
  if (!is_pair || !h.turn) return u;
  T flat[2 * kWidth];
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    flat[i] = u.low.at[i];
    flat[kWidth + i] = u.high.at[i];
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float2 cs = reinterpret_cast<const float2*>(h.turn)[unit * kWidth + i];
    T& even = flat[kInterleaved ? 2 * i : i];
    T& odd = flat[kInterleaved ? 2 * i + 1 : kWidth + i];
    const float p = to_float(even), q = to_float(odd);
    even = from_float<T>(p * cs.x - q * cs.y);
    odd = from_float<T>(p * cs.y + q * cs.x);
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    u.low.at[i] = flat[i];
    u.high.at[i] = flat[kWidth + i];
  }
  return u;
}

}  // namespace moeval_cuda
