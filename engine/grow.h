// Owns grow(): buffers that keep the largest size a caller ever asked for, so that a steady state
// allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace engine {

template <class T>
T* grow(std::vector<T>& v, int64_t n) {
  if (static_cast<int64_t>(v.size()) < n) v.resize(static_cast<size_t>(n));
  return v.data();
}

}  // namespace engine
