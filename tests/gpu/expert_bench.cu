// Owns the program that checks every path of the products over experts against sums in double, and
// with `bench FILE` times them at OLMoE's shape. Links the module's objects, without the table.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/gpu/expert_setup.cuh"

namespace moeval_cuda {
namespace {

struct Case {
  std::string name;
  int64_t d, width;
  std::vector<int32_t> counts;
  int32_t first, n;
  bool brief = false;
};

// Values of T and what they are exactly.
template <class T>
struct Values {
  Values(int64_t n, uint64_t seed, float scale, bool outliers) : rounded(n), exact(n) {
    constexpr int64_t kChunk = 1 << 14;
    parallel(ceil_div(n, kChunk), [&](int64_t c) {
      for (int64_t i = c * kChunk; i < std::min(n, (c + 1) * kChunk); ++i) {
        float v = noise(seed, i) * scale;
        if (outliers && i % 997 == 13) v *= 100;
        if constexpr (std::is_same_v<T, float>) {
          rounded[i] = exact[i] = v;
        } else if constexpr (std::is_same_v<T, bf16>) {
          rounded[i] = __float2bfloat16_rn(v), exact[i] = __bfloat162float(rounded[i]);
        } else {
          rounded[i] = __float2half_rn(v), exact[i] = __half2float(rounded[i]);
        }
      }
    });
  }
  std::vector<T> rounded;
  std::vector<float> exact;
};

float value_of(float v) { return v; }
float value_of(__half v) { return __half2float(v); }
float value_of(bf16 v) { return __bfloat162float(v); }

double dot(const float* w, const double* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += w[i] * x[i];
  return sum;
}

// y [d] of a row of x by expert e of the call.
template <class T>
std::vector<double> reference(const Case& c, const Values<T>& x, const Values<T>& gate,
                              const Values<T>& up, const Values<T>& down, int64_t row, int64_t e) {
  std::vector<double> in(x.exact.begin() + row * c.d, x.exact.begin() + (row + 1) * c.d);
  std::vector<double> h(c.width), y(c.d);
  for (int64_t i = 0; i < c.width; ++i) {
    const int64_t at = (e * c.width + i) * c.d;
    const double g = dot(&gate.exact[at], in.data(), c.d);
    h[i] = g / (1 + std::exp(-g)) * dot(&up.exact[at], in.data(), c.d);
  }
  for (int64_t i = 0; i < c.d; ++i)
    y[i] = dot(&down.exact[(e * c.d + i) * c.width], h.data(), c.width);
  return y;
}

template <class T>
int check_case(MoevalDevice& device, const Case& c, uint64_t seed) {
  constexpr const char* kTypes[] = {"f32", "f16", "bf16"};
  constexpr double kTolerance[] = {1e-5, 2e-3, 5e-3};
  constexpr int32_t type = type_of<T>();

  int64_t total = 0, most = 1;
  for (int32_t count : c.counts) total += count, most = std::max<int64_t>(most, count);
  const int64_t m = std::max(most, ceil_div(total, 8)), capacity = m * kDeviceMaxChosen;
  std::vector<std::vector<int32_t>> rows_of;
  std::mt19937_64 random(seed);
  for (int32_t count : c.counts) {
    rows_of.emplace_back();
    const int64_t at = static_cast<int64_t>(random() % m);
    for (int32_t i = 0; i < count; ++i)
      rows_of.back().push_back(static_cast<int32_t>((at + i) % m));
  }
  const Plan plan = plan_of(rows_of, m);
  const int64_t begin = plan.offsets[c.first], end = plan.offsets[c.first + c.n];

  const int64_t weights = c.n * c.width * c.d;
  const Values<T> x(m * c.d, seed + 1, 1.7f, true);
  const Values<T> gate(weights, seed + 2, 1.7f / std::sqrt(c.d), false);
  const Values<T> up(weights, seed + 3, 1.7f / std::sqrt(c.d), false);
  const Values<T> down(weights, seed + 4, 1.7f / std::sqrt(c.width), false);

  struct Sample {
    int64_t expert, place;
    std::vector<double> y;
  };
  std::vector<Sample> samples;
  for (int32_t e = 0; e < c.n; ++e) {
    const int64_t count = plan.counts[c.first + e];
    if (count == 0 || (c.n > 64 && e % 37 && e != c.n - 1)) continue;
    std::set<int64_t> rows{0, count - 1, static_cast<int64_t>(random() % count)};
    for (int64_t edge :
         {int64_t{63}, int64_t{64}, int64_t{128}, int64_t{2048}, count - count % 64}) {
      if (edge < count) rows.insert(edge);
    }
    for (int64_t row : rows) samples.push_back({e, plan.offsets[c.first + e] + row, {}});
  }
  parallel(static_cast<int64_t>(samples.size()), [&](int64_t i) {
    Sample& s = samples[i];
    s.y = reference(c, x, gate, up, down, plan.source[s.place], s.expert);
  });

  const OnDevice on(plan);
  const Buffer dx(x.rounded), dgate(gate.rounded), dup(up.rounded), ddown(down.rounded);
  const Buffer gathered(capacity * c.d * sizeof(T)), y(capacity * c.d * sizeof(T));
  const Buffer hidden(capacity * c.width * sizeof(T));
  const MoevalExperts e{type,    kDevicePathAuto, c.first,       c.n,         c.d,
                        c.width, dgate.as(),      dup.as(),      ddown.as(),  dx.as(),
                        m,       total,           gathered.as(), hidden.as(), y.as()};
  std::vector<T> got(capacity * c.d), poison(1);
  std::memset(static_cast<void*>(poison.data()), 0xff, sizeof(T));
  int failures = 0;
  for (int way = 0; way < kWays; ++way) {
    if (!takes(device, e, way)) continue;
    std::string why;
    double worst = 0;
    try {
      for (const Buffer* b : {&gathered, &y}) {
        check(cudaMemsetAsync(b->as(), 0xff, capacity * c.d * sizeof(T), device.stream), "poison");
      }
      check(cudaMemsetAsync(hidden.as(), 0xff, capacity * c.width * sizeof(T), device.stream),
            "poison");
      if (gathers(way)) gather_rows(device, e, on.dispatch);
      products(device, e, on.dispatch, way);
      check(cudaStreamSynchronize(device.stream), kWayNames[way]);
      check(cudaMemcpy(got.data(), y.as(), got.size() * sizeof(T), cudaMemcpyDeviceToHost), "y");
    } catch (const DeviceError& error) {
      std::printf("FAIL  %-10s %-5s %-10s %s\n", c.name.c_str(), kTypes[type], kWayNames[way],
                  error.what());
      cudaGetLastError();
      if (cudaDeviceSynchronize() != cudaSuccess) std::exit(1);  // a fault stays with the process
      ++failures;
      continue;
    }
    std::atomic<int64_t> bad_place{-1};
    parallel(capacity, [&](int64_t place) {
      const bool ours = place >= begin && place < end;
      for (const T *v = &got[place * c.d], *last = v + c.d; v < last; ++v) {
        if (ours ? !std::isfinite(value_of(*v)) : std::memcmp(v, poison.data(), sizeof(T)) != 0) {
          bad_place = place;
        }
      }
    });
    if (bad_place >= 0) {
      why = "place " + std::to_string(bad_place) +
            (bad_place >= begin && bad_place < end ? " is not finite" : " is not the call's");
    }
    int64_t worst_expert = -1;
    for (size_t i = 0; i < samples.size();) {
      double wrong = 0, norm = 0;
      const int64_t expert = samples[i].expert;
      for (; i < samples.size() && samples[i].expert == expert; ++i) {
        for (int64_t j = 0; j < c.d; ++j) {
          const double want = samples[i].y[j],
                       off = value_of(got[samples[i].place * c.d + j]) - want;
          wrong += off * off, norm += want * want;
        }
      }
      const double relative = std::sqrt(wrong / norm);
      if (!(relative <= worst) && !std::isnan(worst)) worst = relative, worst_expert = expert;
    }
    // The products of cuBLAS round gate and up apart, before their product is rounded once more.
    const std::string name = kWayNames[way];
    const bool apart = name == "grouped" || name == "looped" || name == "auto";
    if (why.empty() && !(worst <= (apart ? 2 : 1) * kTolerance[type])) {
      why = "expert " + std::to_string(worst_expert) + " is off";
    }
    std::printf("%s  %-10s %-5s %-10s %.2e  %s\n", why.empty() ? "PASS" : "FAIL", c.name.c_str(),
                kTypes[type], kWayNames[way], worst, why.c_str());
    std::fflush(stdout);
    failures += !why.empty();
  }
  return failures;
}

// brief: the cases that a sanitizer gets through in a minute.
int check_all(MoevalDevice& device, uint64_t seed, bool brief) {
  const std::vector<int32_t> ragged{1, 63, 0, 64, 65, 127, 128, 129, 300};
  std::vector<int32_t> many(512);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<int32_t>(seed * i % 37 % 23);
  many.back() = 70;
  const std::vector<Case> cases{
      {"tiny", 72, 40, ragged, 0, 9, true},
      {"tails", 576, 96, ragged, 0, 9, true},
      {"later", 576, 96, ragged, 2, 5},
      {"olmoe", 2048, 1024, {0, 1, 63, 64, 65, 127, 128, 129, 300, 0, 17}, 0, 11},
      {"olmoe-on", 2048, 1024, {7, 1, 130, 0, 40, 9}, 1, 4, true},
      {"one", 576, 96, {0, 0, 700, 0}, 0, 4},
      {"no rows", 72, 40, {0, 0, 5, 0}, 0, 2},
      {"many", 128, 64, many, 0, 512},
      {"banded", 520, 264, {2600, 3, 1300}, 0, 3},
  };
  int failures = 0;
  for (const Case& c : cases) {
    if (brief && !c.brief) continue;
    failures += check_case<bf16>(device, c, ++seed * 7919);
    failures += check_case<__half>(device, c, ++seed * 7919);
    if (!brief) failures += check_case<float>(device, c, ++seed * 7919);
  }
  std::printf("%s: %d failures\n", failures ? "FAIL" : "PASS", failures);
  return failures;
}

__global__ void fill_kernel(bf16* out, int64_t n, uint64_t seed, float scale) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += stride) {
    out[i] = __float2bfloat16_rn(noise(seed, i) * scale);
  }
}
void fill(MoevalDevice& device, const Buffer& b, int64_t n, uint64_t seed, float scale) {
  fill_kernel<<<device.sms() * 8, 256, 0, device.stream>>>(b.as<bf16>(), n, seed, scale);
  check_launch("fill");
}

// Median of milliseconds on the stream, host's part of it included.
double median_ms(MoevalDevice& device, const std::function<void()>& f) {
  constexpr int kWarm = 3, kTimes = 15;
  cudaEvent_t from, to;
  check(cudaEventCreate(&from), "event");
  check(cudaEventCreate(&to), "event");
  std::vector<float> ms;
  for (int i = 0; i < kWarm + kTimes; ++i) {
    check(cudaEventRecord(from, device.stream), "event");
    f();
    check(cudaEventRecord(to, device.stream), "event");
    check(cudaEventSynchronize(to), "event");
    float t = 0;
    check(cudaEventElapsedTime(&t, from, to), "event");
    if (i >= kWarm) ms.push_back(t);
  }
  cudaEventDestroy(from);
  cudaEventDestroy(to);
  std::sort(ms.begin(), ms.end());
  return ms[ms.size() / 2];
}

void ceilings(MoevalDevice& device, FILE* json) {
  constexpr int64_t kSide = 8192, kSquare = kSide * kSide;
  const Buffer a(kSquare * 2), b(kSquare * 2), c(kSquare * 2);
  fill(device, a, kSquare, 1, 1.7f);
  fill(device, b, kSquare, 2, 1.7f / 90);
  const float one = 1, zero = 0;
  const double dense = median_ms(device, [&] {
    check(cublasGemmEx(device.blas, CUBLAS_OP_T, CUBLAS_OP_N, kSide, kSide, kSide, &one, a.as(),
                       CUDA_R_16BF, kSide, b.as(), CUDA_R_16BF, kSide, &zero, c.as(), CUDA_R_16BF,
                       kSide, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "dense product");
  });
  constexpr size_t kBytes = size_t{1} << 30;
  const Buffer from(kBytes), to(kBytes);
  check(cudaMemsetAsync(from.as(), 1, kBytes, device.stream), "memset");
  const double copy = median_ms(device, [&] {
    check(cudaMemcpyAsync(to.as(), from.as(), kBytes, cudaMemcpyDeviceToDevice, device.stream),
          "copy");
  });
  const double tflops = 2e-9 * kSide * kSquare / dense, gbs = 2e-6 * kBytes / copy;
  std::printf("%s: dense bf16 8192^3 by cuBLAS %.1f TFLOP/s, copy on the device %.0f GB/s\n\n",
              device.properties.name, tflops, gbs);
  std::fprintf(json, "{\"device\": \"%s\", \"dense_tflops\": %.2f, \"copy_gb_s\": %.1f}\n",
               device.properties.name, tflops, gbs);
}

void bench(MoevalDevice& device, FILE* json) {
  constexpr int64_t kExperts = 64, kD = 2048, kWidth = 1024, kTop = 8, kMost = 16384;
  constexpr int64_t kWeights = kExperts * kD * kWidth;
  ceilings(device, json);
  const Buffer gate(kWeights * 2), up(kWeights * 2), down(kWeights * 2), x(kMost * kD * 2);
  const Buffer gathered(kMost * 16 * kD * 2), y(kMost * 16 * kD * 2);
  const Buffer hidden(kMost * 16 * kWidth * 2);
  fill(device, gate, kWeights, 3, 1.7f / 45);
  fill(device, up, kWeights, 4, 1.7f / 45);
  fill(device, down, kWeights, 5, 1.7f / 32);
  fill(device, x, kMost * kD, 6, 1.7f);
  std::mt19937_64 random(7);

  std::printf("%7s  %-10s %9s %9s %12s %12s\n", "tokens", "path", "ms", "TFLOP/s", "with gather",
              "TFLOP/s");
  for (int64_t m : {512, 1024, 4096, 8192, 16384}) {
    std::vector<std::vector<int32_t>> rows_of(kExperts);
    std::vector<int32_t> ids(kExperts);
    for (int32_t r = 0; r < m; ++r) {
      for (int32_t i = 0; i < kExperts; ++i) ids[i] = i;
      for (int64_t j = 0; j < kTop; ++j) {
        std::swap(ids[j], ids[j + static_cast<int64_t>(random() % (kExperts - j))]);
        rows_of[ids[j]].push_back(r);
      }
    }
    const OnDevice on(plan_of(rows_of, m));
    const int64_t places = m * kTop;
    const MoevalExperts e{kDeviceBf16,   kDevicePathAuto, 0,         kExperts, kD, kWidth,
                          gate.as(),     up.as(),         down.as(), x.as(),   m,  places,
                          gathered.as(), hidden.as(),     y.as()};
    const double flop = 6.0 * static_cast<double>(places) * kD * kWidth;
    const double gather = median_ms(device, [&] { gather_rows(device, e, on.dispatch); });
    std::printf("%7lld  %-10s %9.4f\n", static_cast<long long>(m), "gather", gather);
    for (int way : {kTensor128, kTensor64, kGrouped, kLooped, kSkinny}) {
      if ((way == kSkinny && m > 1024) || !takes(device, e, way)) continue;
      const double ms = median_ms(device, [&] { products(device, e, on.dispatch, way); });
      const double all = ms + (gathers(way) ? gather : 0);
      std::printf("%7lld  %-10s %9.4f %9.1f %12.4f %12.1f\n", static_cast<long long>(m),
                  kWayNames[way], ms, flop / ms * 1e-9, all, flop / all * 1e-9);
      std::fprintf(json,
                   "{\"tokens\": %lld, \"path\": \"%s\", \"ms\": %.5f, \"gather_ms\": %.5f, "
                   "\"tflops\": %.2f, \"tflops_with_gather\": %.2f}\n",
                   static_cast<long long>(m), kWayNames[way], ms, all - ms, flop / ms * 1e-9,
                   flop / all * 1e-9);
    }
    std::fflush(stdout);
  }
}

int main_of(int argc, char** argv) {
  const bool benches = argc == 3 && std::string(argv[1]) == "bench";
  const bool brief = argc == 3 && std::string(argv[2]) == "brief";
  if (argc > 2 && !benches && !brief) {
    std::fprintf(stderr, "usage: expert_bench [SEED [brief]] | expert_bench bench FILE\n");
    return 2;
  }
  MoevalDevice device;
  check(cudaGetDeviceProperties(&device.properties, 0), "cudaGetDeviceProperties");
  check(cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking), "stream");
  check(cublasCreate(&device.blas), "cublasCreate");
  check(cublasSetStream(device.blas, device.stream), "cublasSetStream");
  check(cudaHostAlloc(&device.pinned_counts, 4096 * 4, cudaHostAllocDefault), "pinned memory");
  if (benches) {
    FILE* json = std::fopen(argv[2], "w");
    if (!json) throw DeviceError(std::string("cannot write ") + argv[2]);
    bench(device, json);
    std::fclose(json);
    return 0;
  }
  const uint64_t seed = argc >= 2 ? std::strtoull(argv[1], nullptr, 10) : std::random_device{}();
  std::printf("seed %llu on %s\n", static_cast<unsigned long long>(seed), device.properties.name);
  return check_all(device, seed, brief) ? 1 : 0;
}

}  // namespace
}  // namespace moeval_cuda

int main(int argc, char** argv) {
  try {
    return moeval_cuda::main_of(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
