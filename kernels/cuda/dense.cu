// Owns the choice between cuBLAS and the products for few rows and for one.
#include "kernels/cuda/dense.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/one_row.cuh"
#include "kernels/cuda/path_table.h"
#include "kernels/cuda/skinny.cuh"

namespace moeval_cuda {

void matmul_blas(MoevalDevice& device, int32_t type, const void* x, int64_t m, const void* w,
                 int64_t n_out, int64_t n_in, int32_t y_type, bool accumulate, void* y) {
  const float one = 1, beta = accumulate ? 1 : 0;
  // cuBLAS is column-major: it sees y^T [n_out, m] = (w^T)^T x^T.
  check(cublasGemmEx(device.blas, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(n_out),
                     static_cast<int>(m), static_cast<int>(n_in), &one, w, blas_type(type),
                     static_cast<int>(n_in), x, blas_type(type), static_cast<int>(n_in), &beta, y,
                     blas_type(y_type), static_cast<int>(n_out), CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
}

void matmul(MoevalDevice& device, int32_t type, const void* x, int64_t m, const void* w,
            int64_t n_out, int64_t n_in, const float* bias, int32_t y_type, bool accumulate,
            void* y) {
  if (m == 0) return;
  if (m == 1 && one_row_takes(type, n_in)) {
    return matmul_one_row(device, type, x, w, n_out, n_in, bias, y_type, accumulate, y);
  }
  if (m <= kSkinnyDenseRows && skinny_takes(type, n_in)) {
    return matmul_skinny(device, type, x, m, w, n_out, n_in, bias, y_type, accumulate, y);
  }
  matmul_blas(device, type, x, m, w, n_out, n_in, y_type, accumulate, y);
  if (bias) add_bias(device, y_type, bias, m, n_out, y);
}

void norm_matmul(MoevalDevice& device, const MoevalNormMatmul& p) {
  if (p.m == 1 && one_row_takes(p.type, p.d)) return norm_matmul_one_row(device, p);
  rms_norm(device, p.type, p.x, p.rows, p.m, p.d, p.norm_weight, p.eps, p.normed);
  matmul(device, p.type, p.normed, p.m, p.w, p.n_out, p.d, p.bias, p.y_type, false, p.y);
}

}  // namespace moeval_cuda
