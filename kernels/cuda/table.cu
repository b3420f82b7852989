// Owns the module's one symbol: the C table of kernels/device_table.h, where exceptions end.
#include <cstdio>
#include <cstring>
#include <memory>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/dense.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/routing.cuh"

struct MoevalGraph {
  cudaGraphExec_t exec = nullptr;
};

namespace moeval_cuda {
namespace {

constexpr size_t kBlasWorkspace = size_t{64} << 20;  // enough for Hopper, as NVIDIA advises 32 MiB
constexpr size_t kCountsBytes = 4096 * sizeof(int32_t);

thread_local std::string error;

template <class F>
int guarded(F&& f) {
  try {
    f();
    return 0;
  } catch (const std::exception& e) {
    error = e.what();
  } catch (...) {
    error = "an error without a name";
  }
  return 1;
}

const char* last_error() { return error.c_str(); }

int count(int32_t* n) {
  return guarded([&] {
    int found = 0;  // left untouched by an error
    *n = 0;
    check(cudaGetDeviceCount(&found), "cudaGetDeviceCount");
    *n = found;
  });
}

void close(MoevalDevice* d) {
  if (!d) return;
  if (d->stream) cudaStreamSynchronize(d->stream);
  if (d->blas) cublasDestroy(d->blas);
  for (cudaEvent_t e : d->marks) {
    if (e) cudaEventDestroy(e);
  }
  if (d->blas_workspace) cudaFree(d->blas_workspace);
  if (d->arrivals) cudaFree(d->arrivals);
  if (d->head_parts) cudaFree(d->head_parts);
  if (d->pinned_counts) cudaFreeHost(d->pinned_counts);
  if (d->stream) cudaStreamDestroy(d->stream);
  delete d;
}

int open(int32_t index, MoevalDevice** out) {
  *out = nullptr;
  auto* d = new MoevalDevice;
  d->index = index;
  const int failed = guarded([&] {
    check(cudaSetDevice(index), "cudaSetDevice");
    check(cudaGetDeviceProperties(&d->properties, index), "cudaGetDeviceProperties");
    if (d->properties.major < 8) {
      throw DeviceError(std::string(d->properties.name) + " has compute capability " +
                        std::to_string(d->properties.major) + "." +
                        std::to_string(d->properties.minor) + ", 8.0 or more is needed");
    }
    check(cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking), "cudaStreamCreate");
    for (cudaEvent_t& e : d->marks) check(cudaEventCreate(&e), "cudaEventCreate");
    check(cublasCreate(&d->blas), "cublasCreate");
    check(cublasSetStream(d->blas, d->stream), "cublasSetStream");
    check(cudaMalloc(&d->blas_workspace, kBlasWorkspace), "workspace of cuBLAS");
    check(cublasSetWorkspace(d->blas, d->blas_workspace, kBlasWorkspace), "cublasSetWorkspace");
    check(cudaMalloc(reinterpret_cast<void**>(&d->arrivals), sizeof(uint32_t)), "a counter");
    check(cudaMemsetAsync(d->arrivals, 0, sizeof(uint32_t), d->stream), "a counter");
    check(cudaMalloc(
              reinterpret_cast<void**>(&d->head_parts),
              sizeof(MoevalDevice::HeadPart) * MoevalDevice::kHeadRows * MoevalDevice::kHeadParts),
          "scratch of log-softmax");
    check(cudaHostAlloc(&d->pinned_counts, kCountsBytes, cudaHostAllocDefault), "pinned memory");
  });
  if (failed) {
    close(d);
  } else {
    *out = d;
  }
  return failed;
}

int info(MoevalDevice* d, MoevalDeviceInfo* out) {
  return guarded([&] {
    std::memset(out, 0, sizeof *out);
    const cudaDeviceProp& p = d->properties;
    std::string(p.name).copy(out->name, sizeof out->name - 1);  // zeroed above
    const auto* id = reinterpret_cast<const unsigned char*>(p.uuid.bytes);
    std::snprintf(out->uuid, sizeof out->uuid,
                  "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0],
                  id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11],
                  id[12], id[13], id[14], id[15]);
    out->major = p.major;
    out->minor = p.minor;
    out->multiprocessors = p.multiProcessorCount;
    check(cudaDriverGetVersion(&out->driver), "cudaDriverGetVersion");
    check(cudaRuntimeGetVersion(&out->runtime), "cudaRuntimeGetVersion");
    check(cublasGetVersion(d->blas, &out->blas), "cublasGetVersion");
    size_t free_bytes = 0, total = 0;
    check(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
    out->free_bytes = free_bytes;
    out->total_bytes = total;
    out->l2_bytes = static_cast<uint64_t>(p.l2CacheSize);
  });
}

int allocate(MoevalDevice*, uint64_t bytes, void** out) {
  *out = nullptr;
  return guarded([&] { check(cudaMalloc(out, bytes), "device memory"); });
}
void release(MoevalDevice*, void* p) { cudaFree(p); }
int allocate_host(MoevalDevice*, uint64_t bytes, void** out) {
  *out = nullptr;
  return guarded([&] { check(cudaHostAlloc(out, bytes, cudaHostAllocDefault), "pinned memory"); });
}
void release_host(MoevalDevice*, void* p) { cudaFreeHost(p); }
int upload(MoevalDevice* d, void* dst, const void* host, uint64_t bytes) {
  return guarded([&] {
    check(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, d->stream), "upload");
  });
}
int download(MoevalDevice* d, void* host, const void* src, uint64_t bytes) {
  return guarded([&] {
    check(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, d->stream), "download");
  });
}
int zero(MoevalDevice* d, void* dst, uint64_t bytes) {
  return guarded([&] { check(cudaMemsetAsync(dst, 0, bytes, d->stream), "zeroing"); });
}
int copy_2d(MoevalDevice* d, void* dst, const void* src, uint64_t pitch, uint64_t width,
            uint64_t height) {
  return guarded([&] {
    if (pitch == width) {  // much faster than a copy with gaps
      check(cudaMemcpyAsync(dst, src, width * height, cudaMemcpyDeviceToDevice, d->stream), "copy");
      return;
    }
    check(cudaMemcpy2DAsync(dst, pitch, src, pitch, width, height, cudaMemcpyDeviceToDevice,
                            d->stream),
          "copy");
  });
}
int synchronize(MoevalDevice* d) {
  return guarded([&] { check(cudaStreamSynchronize(d->stream), "device"); });
}

int capture_begin(MoevalDevice* d) {
  return guarded([&] {
    check(cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal), "graph capture");
  });
}
int capture_end(MoevalDevice* d, MoevalGraph** out) {
  *out = nullptr;
  return guarded([&] {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(d->stream, &graph), "end of graph capture");
    auto made = std::make_unique<MoevalGraph>();
    const cudaError_t code = cudaGraphInstantiate(&made->exec, graph, 0);
    cudaGraphDestroy(graph);
    check(code, "graph");
    *out = made.release();
  });
}
int launch(MoevalDevice* d, MoevalGraph* g) {
  return guarded([&] { check(cudaGraphLaunch(g->exec, d->stream), "graph launch"); });
}
void release_graph(MoevalDevice*, MoevalGraph* g) {
  if (!g) return;
  cudaGraphExecDestroy(g->exec);
  delete g;
}
int mark(MoevalDevice* d, int32_t slot) {
  return guarded([&] { check(cudaEventRecord(d->marks[slot & 15], d->stream), "time stamp"); });
}
int elapsed_ms(MoevalDevice* d, int32_t from, int32_t to, float* ms) {
  return guarded([&] {
    check(cudaEventSynchronize(d->marks[from & 15]), "time stamp");
    check(cudaEventSynchronize(d->marks[to & 15]), "time stamp");
    check(cudaEventElapsedTime(ms, d->marks[from & 15], d->marks[to & 15]), "time stamps");
  });
}

// The C form of an op: void f(MoevalDevice&, args...) becomes int (*)(MoevalDevice*, args...).
template <auto F>
struct Op;
template <class... Args, void (*F)(MoevalDevice&, Args...)>
struct Op<F> {
  template <class... C>
  static int call(MoevalDevice* d, C... args) {
    return guarded([&] { F(*d, args...); });
  }
};

int matmul_op(MoevalDevice* d, int32_t type, const void* x, int64_t m, const void* w, int64_t n_out,
              int64_t n_in, const float* bias, int32_t y_type, int32_t accumulate, void* y) {
  return guarded([&] { matmul(*d, type, x, m, w, n_out, n_in, bias, y_type, accumulate != 0, y); });
}
int rope_op(MoevalDevice* d, const MoevalHeads* h, const MoevalRows* r, int32_t layer, void* qkv,
            const MoevalQkNorm* norm, const float* cos_sin, int64_t d_rot, int32_t interleaved) {
  return guarded([&] {
    rope_and_store(*d, *h, *r, layer, qkv, {*norm, cos_sin, d_rot, interleaved != 0});
  });
}
int attention_op(MoevalDevice* d, const MoevalHeads* h, const MoevalRows* r, int32_t layer,
                 const void* qkv, void* out, void* scratch) {
  return guarded([&] { attention(*d, *h, *r, layer, qkv, out, scratch); });
}
int rope_attention_op(MoevalDevice* d, const MoevalHeads* h, const MoevalRows* r, int32_t layer,
                      void* qkv, const MoevalQkNorm* norm, const float* cos_sin, int64_t d_rot,
                      int32_t interleaved, void* out, void* scratch) {
  return guarded([&] {
    rope_attention(*d, *h, *r, layer, qkv, {*norm, cos_sin, d_rot, interleaved != 0}, out, scratch);
  });
}
uint64_t attention_scratch_op(MoevalDevice* d, const MoevalHeads* h, int64_t max_rows) {
  return attention_scratch(*d, *h, max_rows);
}
int swiglu_op(MoevalDevice* d, int32_t type, const void* gate, const void* up, int64_t m, int64_t n,
              int32_t absolute, void* h) {
  return guarded([&] { swiglu(*d, type, gate, up, m, n, absolute != 0, h); });
}
int select_op(MoevalDevice* d, const MoevalRouting* r, int64_t m) {
  return guarded([&] { select(*d, *r, m); });
}
int route_op(MoevalDevice* d, const MoevalRoute* r, int64_t m) {
  return guarded([&] { route(*d, *r, m); });
}
int dispatch_op(MoevalDevice* d, const int16_t* ids, int64_t m, const MoevalDispatch* to) {
  return guarded([&] { dispatch(*d, ids, m, *to); });
}
int experts_op(MoevalDevice* d, const MoevalExperts* e, const MoevalDispatch* by) {
  return guarded([&] { run_experts(*d, *e, *by); });
}
int combine_op(MoevalDevice* d, int32_t type, const void* y, const MoevalDispatch* by,
               const MoevalCombine* to, int64_t m, int64_t d_model) {
  return guarded([&] { combine(*d, type, y, *by, *to, m, d_model); });
}
int experts_combine_op(MoevalDevice* d, const MoevalExperts* e, const MoevalDispatch* by,
                       const MoevalCombine* to) {
  return guarded([&] { experts_combine(*d, *e, *by, *to); });
}
int norm_matmul_op(MoevalDevice* d, const MoevalNormMatmul* p) {
  return guarded([&] { norm_matmul(*d, *p); });
}

constexpr MoevalDeviceTable kTable = {
    MOEVAL_DEVICE_ABI,
    sizeof(MoevalDeviceTable),
    last_error,
    count,
    open,
    close,
    info,
    allocate,
    release,
    allocate_host,
    release_host,
    upload,
    download,
    zero,
    copy_2d,
    synchronize,
    capture_begin,
    capture_end,
    launch,
    release_graph,
    mark,
    elapsed_ms,
    Op<embed>::call,
    Op<rms_norm>::call,
    matmul_op,
    norm_matmul_op,
    rope_op,
    attention_op,
    rope_attention_op,
    attention_scratch_op,
    swiglu_op,
    Op<gate_scores>::call,
    select_op,
    dispatch_op,
    route_op,
    experts_op,
    combine_op,
    experts_combine_op,
    Op<head_facts>::call,
    Op<pick>::call,
};

}  // namespace
}  // namespace moeval_cuda

extern "C" __attribute__((visibility("default"))) const MoevalDeviceTable* moeval_device_table() {
  return &moeval_cuda::kTable;
}
