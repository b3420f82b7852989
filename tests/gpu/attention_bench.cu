// Owns the check of the GPU's attention and rope kernels against double precision, and their
// timing. Alone it checks, in a few seconds; `bench FILE` times and appends JSON lines to FILE.
#include "tests/gpu/attention_setup.cuh"

namespace attention_bench {
namespace {

template <class T>
void check_attention(MoevalDevice& device, Random& random) {
  const auto dispatched = [&](const MoevalHeads& heads, const MoevalRows& rows, int32_t layer,
                              const T* qkv, T* out, void* scratch) {
    attention(device, heads, rows, layer, qkv, out, scratch);
  };
  const auto plain = [&](const MoevalHeads& heads, const MoevalRows& rows, int32_t layer,
                         const T* qkv, T* out,
                         void*) { attention_plain(device, heads, rows, layer, qkv, out); };
  const Plan prefill = prefill_plan(random), decode = decode_plan(random);
  constexpr int64_t kShapes[][3] = {{16, 16, 128}, {9, 3, 64}, {32, 8, 128}, {4, 2, 24},
                                    {16, 1, 64},   {5, 1, 40}, {8, 1, 256},  {6, 2, 20}};
  int index = 0;
  for (const auto& shape : kShapes) {
    const MoevalHeads heads{0, shape[0], shape[1], shape[2]};
    if (index++ < 4) {
      Case<T> c(device, heads, prefill, random);
      c.run("prefill", c.m(), true, dispatched);
      c.run("prefill plain", c.m(), true, plain);
      c.run("prefill rows as decode", c.m(), false, dispatched);
    }
    Case<T> c(device, heads, decode, random);
    for (int64_t n : {int64_t{1}, int64_t{8}, c.m()}) c.run("decode", n, false, dispatched);
    c.run("decode plain", c.m(), false, plain);
  }
}

template <class T>
void check_rope(MoevalDevice& device, const MoevalHeads& shape, int64_t d_rot, bool interleaved,
                Random& random) {
  MoevalHeads heads = shape;
  heads.type = type_of<T>();
  constexpr int kLayers = 3, kLayer = 2, kPositions = 701;
  const std::vector<int32_t> positions{0, 1, 62, -1, 63, 64, 65, 127, 128, 700, -1};
  const std::vector<int32_t> table_at{0, 0, 0, Plan::kNowhere, 0, 1, 1, 1, 4, 7, Plan::kNowhere};
  const int64_t m = static_cast<int64_t>(positions.size()), d = heads.d_head, half = d_rot / 2;
  const int64_t n_groups = heads.n_heads + 2 * heads.n_kv_heads, n_blocks = 18;
  const int64_t block_size = kLayers * 2 * heads.n_kv_heads * 64 * d;
  std::vector<float> x(static_cast<size_t>(m * n_groups * d)), turns;
  for (float& v : x) v = rounded<T>(random.value());
  for (int p = 0; p < kPositions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = p * std::pow(1e4, -static_cast<double>(i) / static_cast<double>(half));
      turns.push_back(static_cast<float>(std::cos(angle)));
      turns.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  const Buffer<T> qkv(converted<T>(x));
  const Buffer<T> pool(static_cast<size_t>(n_blocks * block_size), kPoison);
  std::vector<void*> addresses;
  for (int64_t b = 0; b < n_blocks; ++b) addresses.push_back(pool.get() + b * block_size);
  const Buffer<void*> tables(addresses);
  const Buffer<int32_t> at_device(table_at), positions_device(positions);
  const Buffer<float> turns_device(turns);
  const MoevalRows rows{m,       nullptr, positions_device.get(), at_device.get(), tables.get(),
                        nullptr, 0};
  rope_and_store(device, heads, rows, kLayer, qkv.get(),
                 {{}, turns_device.get(), d_rot, interleaved});
  const std::vector<T> result = qkv.host(), cache = pool.host();

  std::vector<T> expected(cache.size());
  std::memset(static_cast<void*>(expected.data()), kPoison, expected.size() * sizeof(T));
  double off = 0, norm = 0;
  bool kept = true;
  for (int64_t i = 0; i < m * n_groups * d; ++i) {
    const int64_t r = i / (n_groups * d), head = i / d % n_groups, e = i % d;
    const int position = positions[static_cast<size_t>(r)];
    const auto value = [&](int64_t j) { return static_cast<double>(x[static_cast<size_t>(j)]); };
    const T& got = result[static_cast<size_t>(i)];
    double ref = value(i);
    if (position < 0 || head >= heads.n_heads + heads.n_kv_heads || e >= d_rot) {
      kept = kept && to_host(got) == x[static_cast<size_t>(i)];
    } else {
      const bool second = interleaved ? e % 2 == 1 : e >= half;
      const int64_t pair = interleaved ? e / 2 : e % half, far = interleaved ? 1 : half;
      const float* turn = &turns[static_cast<size_t>((position * half + pair) * 2)];
      const double c = static_cast<double>(turn[0]), s = static_cast<double>(turn[1]);
      ref = second ? value(i) * c + value(i - far) * s : value(i) * c - value(i + far) * s;
    }
    off += std::pow(static_cast<double>(to_host(got)) - ref, 2);
    norm += ref * ref;
    if (position >= 0 && head >= heads.n_heads) {
      const int64_t block = table_at[static_cast<size_t>(r)] + position / 64;
      const int64_t group = kLayer * 2 * heads.n_kv_heads + head - heads.n_heads;
      expected[static_cast<size_t>(block * block_size + (group * 64 + position % 64) * d + e)] =
          got;
    }
  }
  const bool stored = std::memcmp(expected.data(), cache.data(), cache.size() * sizeof(T)) == 0;
  const double error = std::sqrt(off / norm);
  char figures[128];
  std::snprintf(figures, sizeof figures, "error %.2e of %.0e%s%s", error, limit_of<T>(),
                kept ? "" : ", others changed", stored ? "" : ", cache differs");
  char what[96];
  std::snprintf(what, sizeof what, "rope %s (%d,%d,%d) d_rot %d%s", name_of<T>(),
                static_cast<int>(heads.n_heads), static_cast<int>(heads.n_kv_heads),
                static_cast<int>(d), static_cast<int>(d_rot), interleaved ? " interleaved" : "");
  verdict(error <= limit_of<T>() && kept && stored, what, figures);
}

template <class T>
void check_type(MoevalDevice& device) {
  Random random(static_cast<uint64_t>(type_of<T>()) + 2026);
  for (const bool interleaved : {false, true}) {
    check_rope<T>(device, {0, 16, 16, 128}, 128, interleaved, random);
    check_rope<T>(device, {0, 9, 3, 64}, 32, interleaved, random);
    check_rope<T>(device, {0, 4, 2, 24}, 12, interleaved, random);
    check_rope<T>(device, {0, 3, 1, 7}, 2, interleaved, random);
  }
  check_attention<T>(device, random);
}

__global__ void fill_kernel(bf16* to, size_t n) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    uint32_t x = static_cast<uint32_t>(i) * 2654435761u;
    x = (x ^ x >> 15) * 2246822519u;
    to[i] = from_float<bf16>(static_cast<float>(x >> 8) * 0x1p-23f - 1.0f);
  }
}

// Milliseconds of one call: the median over 15 runs of a graph that has one call for each layer.
double time_call(MoevalDevice& device, int layers, const std::function<void(int)>& call) {
  call(0);
  cudaGraph_t graph;
  cudaGraphExec_t runs;
  check(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int layer = 0; layer < layers; ++layer) call(layer);
  check(cudaStreamEndCapture(device.stream, &graph), "capture");
  check(cudaGraphInstantiate(&runs, graph, 0), "capture");
  cudaEvent_t from, to;
  check(cudaEventCreate(&from), "event");
  check(cudaEventCreate(&to), "event");
  std::vector<float> ms;
  for (int i = 0; i < 18; ++i) {
    check(cudaEventRecord(from, device.stream), "event");
    check(cudaGraphLaunch(runs, device.stream), "launch");
    check(cudaEventRecord(to, device.stream), "event");
    check(cudaEventSynchronize(to), "kernel");
    float one = 0;
    check(cudaEventElapsedTime(&one, from, to), "event");
    if (i >= 3) ms.push_back(one / static_cast<float>(layers));
  }
  std::sort(ms.begin(), ms.end());
  cudaEventDestroy(from);
  cudaEventDestroy(to);
  cudaGraphExecDestroy(runs);
  cudaGraphDestroy(graph);
  return static_cast<double>(ms[ms.size() / 2]);
}

// n sequences, each of `each` rows behind a shared prefix; decode: of one row with blocks of its
// own. Layers take turns, so that the L2 cache holds no more of them than it would in a model.
void time_case(MoevalDevice& device, FILE* file, const char* name, int n, int each, int prefix,
               bool decode) {
  constexpr int kLayers = 16;
  const MoevalHeads heads{kDeviceBf16, 16, 16, 128};
  const int n_shared = decode ? 0 : prefix / 64, n_all = (prefix + each - 1) / 64 + 1;
  const int n_blocks = n_shared + n * (n_all - n_shared), m = n * each;
  const int64_t block_size = kLayers * kv_layer_elements(heads.n_kv_heads, heads.d_head);
  const size_t q_size = static_cast<size_t>(m) * 48 * 128, out_size = static_cast<size_t>(m) * 2048;
  const Buffer<bf16> pool(static_cast<size_t>(n_blocks * block_size)), qkv(q_size), out(out_size);
  const size_t pool_size = static_cast<size_t>(n_blocks * block_size);
  fill_kernel<<<1024, 256, 0, device.stream>>>(pool.get(), pool_size);
  fill_kernel<<<1024, 256, 0, device.stream>>>(qkv.get(), q_size);
  std::vector<void*> addresses;
  std::vector<int32_t> positions, table_at, tiles;
  double visible = 0;
  for (int s = 0; s < n; ++s) {
    const int at = static_cast<int>(addresses.size());
    for (int b = 0; b < n_all; ++b) {
      const int block = b < n_shared ? b : n_shared + s * (n_all - n_shared) + b - n_shared;
      addresses.push_back(pool.get() + block * block_size);
    }
    for (int i = 0; i < each; ++i) {
      if (i % 64 == 0) tiles.insert(tiles.end(), {s * each + i, std::min(64, each - i)});
      positions.push_back(prefix + i);
      table_at.push_back(at);
      visible += prefix + i + 1;
    }
  }
  const Buffer<void*> tables(addresses);
  const Buffer<int32_t> at_device(table_at), positions_device(positions), tiles_device(tiles);
  const Buffer<unsigned char> scratch(attention_scratch(device, heads, m));
  const MoevalRows rows{m,
                        nullptr,
                        positions_device.get(),
                        at_device.get(),
                        tables.get(),
                        tiles_device.get(),
                        decode ? 0 : static_cast<int64_t>(tiles.size() / 2)};
  check(cudaDeviceSynchronize(), "fill");  // the copies above were on another stream
  const double ms = time_call(device, kLayers, [&](int layer) {
    attention(device, heads, rows, layer, qkv.get(), out.get(), scratch.get());
  });
  const double tflops = 4.0 * 16 * 128 * visible / ms * 1e-9;
  const double gbs = decode ? visible * 2 * 16 * 128 * 2 / ms * 1e-6 : 0.0;
  std::printf("%-28s %6d %10.4f %10.1f %10.1f\n", name, m, ms, tflops, gbs);
  std::fprintf(file,
               "{\"bench\": \"attention\", \"device\": \"%s\", \"type\": \"bf16\", \"case\": "
               "\"%s\", \"rows\": %d, \"ms\": %.6f, \"tflops\": %.3f, \"kv_gb_per_s\": %.3f}\n",
               device.properties.name, name, m, ms, tflops, gbs);
}

int run(int argc, char** argv) {
  MoevalDevice device;
  check(cudaGetDeviceProperties(&device.properties, 0), "device");
  check(cudaStreamCreate(&device.stream), "stream");
  if (argc == 1) {
    check_type<float>(device);
    check_type<__half>(device);
    check_type<bf16>(device);
    std::printf("%s\n", g_failed ? "FAIL" : "PASS");
    return g_failed ? 1 : 0;
  }
  FILE* file = argc == 3 && std::strcmp(argv[1], "bench") == 0 ? std::fopen(argv[2], "a") : nullptr;
  if (file == nullptr) throw DeviceError("usage: attention_bench [bench FILE]");
  std::printf("%-28s %6s %10s %10s %10s\n", "case", "rows", "ms", "TFLOP/s", "KV GB/s");
  time_case(device, file, "prefill 37 x 111 after 620", 37, 111, 620, false);
  time_case(device, file, "prefill one of 4096", 1, 4096, 0, false);
  for (int n : {1, 8, 64}) time_case(device, file, "decode at 1000", n, 1, 999, true);
  std::fclose(file);
  return 0;
}

}  // namespace
}  // namespace attention_bench

int main(int argc, char** argv) {
  try {
    return attention_bench::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "attention_bench: %s\n", e.what());
    return 1;
  }
}
