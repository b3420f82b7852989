// Owns the module's one symbol: the C table of kernels/device_table.h, where exceptions end and
// where the structs of an op are copied, for a graph that outlives them.
#include <cstdio>
#include <cstring>

#include "tests/support/reference_device/ops.h"

namespace reference_device {
namespace {

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
  *n = 1;
  return 0;
}

int open(int32_t index, MoevalDevice** out) {
  *out = nullptr;
  return guarded([&] {
    if (index != 0) {
      throw DeviceError("device " + std::to_string(index) + ": invalid device ordinal, there is 1");
    }
    *out = new MoevalDevice;
  });
}

void close(MoevalDevice* device) { delete device; }

int info(MoevalDevice* device, MoevalDeviceInfo* out) {
  *out = {};
  std::snprintf(out->name, sizeof out->name, "%s", "reference device (CPU)");
  std::snprintf(out->uuid, sizeof out->uuid, "%s", "GPU-00000000-0000-0000-0000-000000000000");
  out->major = 9;
  out->multiprocessors = 132;
  out->driver = out->runtime = 12040;
  out->blas = 120400;
  out->total_bytes = device->memory.total();
  out->free_bytes = device->memory.free();
  out->l2_bytes = uint64_t{50} << 20;
  return 0;
}

int allocate(MoevalDevice* device, uint64_t bytes, void** out) {
  *out = nullptr;
  return guarded([&] {
    device->outside_capture("device memory");
    *out = device->memory.allocate(bytes);
  });
}

void release(MoevalDevice* device, void* p) {
  device->spoilt = true;  // a capture, if one is under way
  device->memory.release(p);
}

int allocate_host(MoevalDevice* device, uint64_t bytes, void** out) {
  *out = nullptr;
  return guarded([&] {
    device->outside_capture("pinned memory");
    *out = ::operator new(bytes);
    std::memset(*out, 0xFF, bytes);
  });
}

void release_host(MoevalDevice* device, void* p) {
  device->spoilt = true;
  ::operator delete(p);
}

int synchronize(MoevalDevice* device) {
  return guarded([&] { device->outside_capture("device"); });
}

int capture_begin(MoevalDevice* device) {
  return guarded([&] { device->capture_begin(); });
}

int capture_end(MoevalDevice* device, MoevalGraph** out) {
  *out = nullptr;
  return guarded([&] { *out = device->capture_end().release(); });
}

int launch(MoevalDevice* device, MoevalGraph* graph) {
  return guarded([&] { device->launch(*graph); });
}

void release_graph(MoevalDevice*, MoevalGraph* graph) { delete graph; }

std::chrono::steady_clock::time_point& mark_of(MoevalDevice& device, int32_t slot) {
  if (slot < 0 || slot >= 16) throw DeviceError("time stamp " + std::to_string(slot));
  return device.marks[static_cast<size_t>(slot)];
}

int mark(MoevalDevice* device, int32_t slot) {
  return guarded([&] {
    device->outside_capture("time stamp");
    mark_of(*device, slot) = std::chrono::steady_clock::now();
  });
}

int elapsed_ms(MoevalDevice* device, int32_t from, int32_t to, float* ms) {
  return guarded([&] {
    device->outside_capture("time stamps");
    const auto begin = mark_of(*device, from), end = mark_of(*device, to), none = decltype(end){};
    if (begin == none || end == none) throw DeviceError("time stamps: one was never marked");
    *ms = std::chrono::duration<float, std::milli>(end - begin).count();
  });
}

// An argument as the C table has it, and what is kept of it.
template <class A>
struct Argument {
  using Passed = A;
  static A kept(A a) { return a; }
};
template <class S>
struct Argument<const S&> {
  using Passed = const S*;
  static S kept(const S* s) { return *s; }
};

// The C form of an op.
template <auto F>
struct Op;
template <class... Args, void (*F)(MoevalDevice&, Args...)>
struct Op<F> {
  static int call(MoevalDevice* device, typename Argument<Args>::Passed... args) {
    return guarded([&] {
      device->submit([device, ... kept = Argument<Args>::kept(args)] { F(*device, kept...); });
    });
  }
};

uint64_t attention_scratch_bytes(MoevalDevice*, const MoevalHeads* heads, int64_t max_rows) {
  return attention_scratch(*heads, max_rows);
}

// These two bring the counts of rows to the host, which a stream under capture cannot wait for.
int experts_outside_capture(MoevalDevice* device, const MoevalExperts* e,
                            const MoevalDispatch* by) {
  const int failed = guarded([&] {
    if (e->path == kDevicePathGrouped || e->path == kDevicePathLooped) {
      device->outside_capture("experts: the grouped and looped paths");
    }
  });
  return failed ? failed : Op<experts>::call(device, e, by);
}

constexpr MoevalDeviceTable kTable = {
    .abi = MOEVAL_DEVICE_ABI,
    .bytes = sizeof(MoevalDeviceTable),
    .last_error = last_error,
    .count = count,
    .open = open,
    .close = close,
    .info = info,
    .allocate = allocate,
    .release = release,
    .allocate_host = allocate_host,
    .release_host = release_host,
    .upload = Op<upload>::call,
    .download = Op<download>::call,
    .zero = Op<zero>::call,
    .copy_2d = Op<copy_2d>::call,
    .synchronize = synchronize,
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .launch = launch,
    .release_graph = release_graph,
    .mark = mark,
    .elapsed_ms = elapsed_ms,
    .embed = Op<embed>::call,
    .rms_norm = Op<rms_norm>::call,
    .matmul = Op<matmul>::call,
    .norm_matmul = Op<norm_matmul>::call,
    .rope_and_store = Op<rope_and_store>::call,
    .attention = Op<attention>::call,
    .rope_attention = Op<rope_attention>::call,
    .attention_scratch = attention_scratch_bytes,
    .swiglu = Op<swiglu>::call,
    .gate_scores = Op<gate_scores>::call,
    .select = Op<select>::call,
    .dispatch = Op<dispatch>::call,
    .route = Op<route>::call,
    .experts = experts_outside_capture,
    .combine = Op<combine>::call,
    .experts_combine = Op<experts_combine>::call,
    .head_facts = Op<head_facts>::call,
    .pick = Op<pick>::call,
};

}  // namespace
}  // namespace reference_device

extern "C" __attribute__((visibility("default"))) const MoevalDeviceTable* moeval_device_table() {
  return &reference_device::kTable;
}
