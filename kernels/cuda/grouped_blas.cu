// Owns the products over experts by cuBLAS, with the counts on the host: one grouped call for each
// of gate, up and down, or one call for each expert.
#include <algorithm>
#include <vector>

#include "kernels/cuda/grouped_blas.cuh"

namespace moeval_cuda {
namespace {

constexpr int32_t kMaxExperts = 4095;  // pinned_counts holds 4096 offsets

template <class T>
__global__ void swiglu_in_place(T* gate, const T* up, int64_t values) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < values;
       i += stride) {
    gate[i] = from_float<T>(swiglu_value(to_float(gate[i]), to_float(up[i])));
  }
}

// Experts with rows, in order.
struct Group {
  int32_t expert, rows;
  int64_t place;  // of the first row among the call's
};

// y [rows, n_out] = x [rows, n_in] w^T, by expert.
struct Product {
  const char *x, *w;
  char* y;
  int64_t n_out, n_in;
};

std::vector<Group> fetch_groups(MoevalDevice& device, const MoevalExperts& e,
                                const MoevalDispatch& dispatch, int64_t* first_place) {
  if (e.n > kMaxExperts) throw DeviceError("too many experts for the cuBLAS paths");
  auto* offsets = static_cast<int32_t*>(device.pinned_counts);
  check(cudaMemcpyAsync(offsets, dispatch.offsets + e.first, (e.n + 1) * sizeof(int32_t),
                        cudaMemcpyDeviceToHost, device.stream),
        "counts of experts");
  check(cudaStreamSynchronize(device.stream), "counts of experts");
  std::vector<Group> groups;
  for (int32_t i = 0; i < e.n; ++i) {
    const int32_t rows = offsets[i + 1] - offsets[i];
    if (rows > 0) groups.push_back({i, rows, offsets[i] - offsets[0]});
  }
  *first_place = offsets[0];
  return groups;
}

// cuBLAS is column-major: it makes y^T = w x^T.
void looped(MoevalDevice& device, int32_t type, const std::vector<Group>& groups,
            const Product& p) {
  const float one = 1.0f, zero = 0.0f;
  const int64_t size = type_bytes(type);
  const cudaDataType_t t = blas_type(type);
  const int n_out = static_cast<int>(p.n_out), n_in = static_cast<int>(p.n_in);
  for (const Group& g : groups) {
    check(
        cublasGemmEx(device.blas, CUBLAS_OP_T, CUBLAS_OP_N, n_out, g.rows, n_in, &one,
                     p.w + g.expert * p.n_out * p.n_in * size, t, n_in,
                     p.x + g.place * p.n_in * size, t, n_in, &zero, p.y + g.place * p.n_out * size,
                     t, n_out, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "product of an expert");
  }
}

void grouped(MoevalDevice& device, int32_t type, const std::vector<Group>& groups,
             const Product& p) {
  const size_t n = groups.size();
  const int64_t size = type_bytes(type);
  const cudaDataType_t t = blas_type(type);
  std::vector<const void*> pointers(3 * n);  // w, x, y
  std::vector<int> rows(n);
  for (size_t i = 0; i < n; ++i) {
    const Group& g = groups[i];
    pointers[i] = p.w + g.expert * p.n_out * p.n_in * size;
    pointers[n + i] = p.x + g.place * p.n_in * size;
    pointers[2 * n + i] = p.y + g.place * p.n_out * size;
    rows[i] = g.rows;
  }
  const std::vector<cublasOperation_t> transposed(n, CUBLAS_OP_T), as_is(n, CUBLAS_OP_N);
  const std::vector<int> n_out(n, static_cast<int>(p.n_out)), n_in(n, static_cast<int>(p.n_in));
  const std::vector<int> ones(n, 1);
  const std::vector<float> alpha(n, 1.0f), beta(n, 0.0f);

  void* on_device = nullptr;
  const size_t bytes = pointers.size() * sizeof(void*);
  check(cudaMallocAsync(&on_device, bytes, device.stream), "addresses of experts");
  // From pageable memory: the call returns once it is read.
  cudaError_t copied =
      cudaMemcpyAsync(on_device, pointers.data(), bytes, cudaMemcpyHostToDevice, device.stream);
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  if (copied == cudaSuccess) {
    auto* const* at = static_cast<void**>(on_device);
    status = cublasGemmGroupedBatchedEx(
        device.blas, transposed.data(), as_is.data(), n_out.data(), rows.data(), n_in.data(),
        alpha.data(), at, t, n_in.data(), at + n, t, n_in.data(), beta.data(), at + 2 * n, t,
        n_out.data(), static_cast<int>(n), ones.data(), CUBLAS_COMPUTE_32F);
  }
  const cudaError_t freed = cudaFreeAsync(on_device, device.stream);
  check(copied, "addresses of experts");
  check(status, "grouped product of experts");
  check(freed, "addresses of experts");
}

}  // namespace

void experts_blas(MoevalDevice& device, const MoevalExperts& e, const MoevalDispatch& dispatch,
                  bool one_call) {
  if (e.places == 0 || e.n == 0) return;
  int64_t first_place = 0;
  const std::vector<Group> groups = fetch_groups(device, e, dispatch, &first_place);
  if (groups.empty()) return;
  const int64_t rows = groups.back().place + groups.back().rows;
  if (rows > e.places) throw DeviceError("more rows of experts than the call says");

  const int64_t size = type_bytes(e.type);
  const char* x = static_cast<const char*>(e.gathered) + first_place * e.d * size;
  char* y = static_cast<char*>(e.y) + first_place * e.d * size;
  char* gate = static_cast<char*>(e.hidden);
  char* up = gate + rows * e.width * size;
  const auto product = [&](const Product& p) {
    one_call ? grouped(device, e.type, groups, p) : looped(device, e.type, groups, p);
  };
  product({x, static_cast<const char*>(e.gate), gate, e.width, e.d});
  product({x, static_cast<const char*>(e.up), up, e.width, e.d});
  const int64_t values = rows * e.width;
  const int64_t grid =
      std::min<int64_t>(ceil_div(values, 256), static_cast<int64_t>(device.sms()) * 8);
  with_type(e.type, [&](auto zero) {
    using T = decltype(zero);
    swiglu_in_place<T><<<static_cast<unsigned>(grid), 256, 0, device.stream>>>(
        reinterpret_cast<T*>(gate), reinterpret_cast<const T*>(up), values);
  });
  check_launch("swiglu of experts");
  product({gate, static_cast<const char*>(e.down), y, e.d, e.width});
}

}  // namespace moeval_cuda
