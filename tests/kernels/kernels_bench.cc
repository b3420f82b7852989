// Speed of the kernels at SmolLM2-135M's shapes, one thread unless an argument says otherwise,
// beside the limits measured in the same run: fp32 FMA in registers and a read of 512 MiB. GFLOP/s
// counts 2 per multiply-add; GB/s counts stored weight bytes (or KV bytes) read once.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/expert_ffn.h"
#include "kernels/isa.h"
#include "kernels/limits.h"
#include "kernels/matmul.h"

namespace {

using kernels::Dtype;

void report(benchmark::State& state, double flops, double bytes) {
  const auto runs = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(runs * flops * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(runs * bytes * 1e-9, benchmark::Counter::kIsRate);
}

void peak_fma(benchmark::State& state) {
  kernels::ThreadPool pool(static_cast<int>(state.range(0)));
  double flops = 0;
  for (auto _ : state) flops = kernels::fma_burst(pool);
  report(state, flops, 0);
}
BENCHMARK(peak_fma)->Arg(1);
BENCHMARK(peak_fma)->Arg(2)->UseRealTime();

void read_memory(benchmark::State& state) {
  kernels::ThreadPool pool(static_cast<int>(state.range(0)));
  const std::vector<float> data(128 * 1024 * 1024, 1.0f);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels::read_sum(data.data(), static_cast<int64_t>(data.size()), pool));
  }
  report(state, 0, static_cast<double>(data.size() * sizeof(float)));
}
BENCHMARK(read_memory)->Arg(1);
BENCHMARK(read_memory)->Arg(2)->UseRealTime();

// Arguments: type, n_out, n_in, rows, threads.
void matmul(benchmark::State& state) {
  const auto type = static_cast<Dtype>(state.range(0));
  const int64_t n_out = state.range(1), n_in = state.range(2), m = state.range(3);
  kernels::ThreadPool pool(static_cast<int>(state.range(4)));
  const auto w = kernels::PackedMatrix::pack(
      type, n_out, n_in,
      [&](int64_t, void* dst) {
        std::memset(dst, 0x11, static_cast<size_t>(kernels::row_bytes(type, n_in)));
      },
      pool);
  const std::vector<float> x(static_cast<size_t>(m * n_in), 0.01f);
  std::vector<float> y(static_cast<size_t>(m * n_out));
  for (auto _ : state) {
    kernels::matmul(x.data(), n_in, m, w, nullptr, y.data(), n_out, pool);
    benchmark::ClobberMemory();
  }
  const kernels::Cost cost = kernels::matmul_cost(m, n_out, n_in, type);
  report(state, static_cast<double>(cost.flops), static_cast<double>(cost.weight_bytes));
  state.SetLabel(std::string(kernels::dtype_name(type)));
}

void one_thread(benchmark::internal::Benchmark* b) {
  b->ArgNames({"type", "n_out", "n_in", "m", "threads"});
  for (Dtype type : {Dtype::f32, Dtype::f16, Dtype::q8_0, Dtype::q4_1, Dtype::q5_1}) {
    for (auto [n_out, n_in] : {std::pair{1536, 576}, {576, 1536}, {49152, 576}}) {
      for (int m : {1, 4, 16, 512}) {
        if (type != Dtype::q4_1 && n_out == 576) continue;
        if (n_out == 49152 && m > 4) continue;
        b->Args({static_cast<int>(type), n_out, n_in, m, 1});
      }
    }
  }
  for (Dtype type : {Dtype::q4_k, Dtype::q6_k}) {
    for (int m : {1, 512}) b->Args({static_cast<int>(type), 1536, 1536, m, 1});
  }
}

void two_threads(benchmark::internal::Benchmark* b) {
  b->ArgNames({"type", "n_out", "n_in", "m", "threads"})->UseRealTime();
  for (int m : {1, 16, 512}) {
    for (auto [n_out, n_in] : {std::pair{1536, 576}, {576, 1536}}) {
      b->Args({static_cast<int>(Dtype::q4_1), n_out, n_in, m, 2});
    }
  }
}
BENCHMARK(matmul)->Apply(one_thread);
BENCHMARK(matmul)->Apply(two_threads);

// A feed-forward block of 576 x 1536 cut into `experts` parts, every row through all of them.
// Arguments: type, experts, rows, threads.
void expert_ffn(benchmark::State& state) {
  const auto type = static_cast<Dtype>(state.range(0));
  const int64_t n = state.range(1), m = state.range(2), d = 576, width = 1536 / n;
  kernels::ThreadPool pool(static_cast<int>(state.range(3)));
  const auto pack = [&](int64_t n_out, int64_t n_in) {
    return kernels::PackedMatrix::pack(
        type, n_out, n_in,
        [&](int64_t, void* dst) {
          std::memset(dst, 0x11, static_cast<size_t>(kernels::row_bytes(type, n_in)));
        },
        pool);
  };
  std::vector<kernels::PackedMatrix> weights;
  for (int64_t e = 0; e < n; ++e) {
    weights.push_back(pack(width, d));
    weights.push_back(pack(width, d));
    weights.push_back(pack(d, width));
  }
  const std::vector<float> x(static_cast<size_t>(m * d), 0.01f);
  std::vector<float> y(static_cast<size_t>(n * m * d));
  std::vector<kernels::ExpertGroup> groups;
  for (int64_t e = 0; e < n; ++e) {
    const kernels::PackedMatrix* w = weights.data() + 3 * e;
    groups.push_back({w, w + 1, w + 2, x.data(), y.data() + e * m * d, m});
  }
  kernels::ExpertScratch scratch;
  for (auto _ : state) {
    kernels::expert_ffn(groups, scratch, pool);
    benchmark::ClobberMemory();
  }
  const kernels::Cost cost = kernels::expert_ffn_cost(groups);
  report(state, static_cast<double>(cost.flops), static_cast<double>(cost.weight_bytes));
  state.SetLabel(std::string(kernels::dtype_name(type)));
}

void experts_by_rows(benchmark::internal::Benchmark* b) {
  b->ArgNames({"type", "experts", "m", "threads"})->UseRealTime();
  for (Dtype type : {Dtype::f32, Dtype::q4_1}) {
    for (int experts : {1, 16}) {
      for (int m : {1, 16, 512}) b->Args({static_cast<int>(type), experts, m, 1});
    }
  }
}
BENCHMARK(expert_ffn)->Apply(experts_by_rows);

// Arguments: rows of one sequence, all near the end of the context; context; threads.
void attention(benchmark::State& state) {
  const kernels::AttentionShape shape{9, 3, 64};
  const int64_t n_rows = state.range(0), context = state.range(1), stride = 9 * 64;
  kernels::ThreadPool pool(static_cast<int>(state.range(2)));
  std::vector<std::vector<float>> owned;
  std::vector<float*> blocks;
  for (int64_t p = 0; p < context; p += kernels::kKvBlock) {
    owned.emplace_back(static_cast<size_t>(shape.kv_block_floats()), 0.01f);
    blocks.push_back(owned.back().data());
  }
  std::vector<kernels::AttentionRow> rows;
  double flops = 0;
  for (int64_t p = context - n_rows; p < context; ++p) {
    rows.push_back({p, blocks.data()});
    flops += static_cast<double>(kernels::attention_cost(shape, p + 1).flops);
  }
  const std::vector<float> q(static_cast<size_t>(n_rows * stride), 0.01f);
  std::vector<float> out(q.size());
  for (auto _ : state) {
    kernels::attention(shape, q.data(), stride, rows.data(), n_rows, out.data(), stride, pool);
    benchmark::ClobberMemory();
  }
  report(state, flops, static_cast<double>(context * 2 * 3 * 64) * sizeof(float));
}
BENCHMARK(attention)
    ->ArgNames({"rows", "context", "threads"})
    ->Args({1, 700, 1})
    ->Args({100, 700, 1})
    ->Args({700, 700, 1});
BENCHMARK(attention)->ArgNames({"rows", "context", "threads"})->Args({100, 700, 2})->UseRealTime();

void row_ops(benchmark::State& state) {
  kernels::ThreadPool pool(1);
  const int64_t m = 64, n = 1536;
  std::vector<float> x(static_cast<size_t>(m * n), 0.5f), y(x), h(x);
  for (auto _ : state) {
    switch (state.range(0)) {
      case 0:
        kernels::rms_norm(x.data(), m, n, y.data(), 1e-5f, h.data(), pool);
        break;
      case 1:
        kernels::swiglu(x.data(), y.data(), m, n, h.data(), pool);
        break;
      case 2:
        kernels::add_rows(x.data(), m * n, h.data(), pool);
        break;
      case 3:
        benchmark::DoNotOptimize(kernels::log_sum_exp(x.data(), m * n));
        break;
      default:
        benchmark::DoNotOptimize(kernels::argmax(x.data(), m * n));
        break;
    }
    benchmark::ClobberMemory();
  }
  constexpr const char* kNames[] = {"rms_norm", "swiglu", "add_rows", "log_sum_exp", "argmax"};
  state.SetLabel(std::string(kNames[state.range(0)]) + " of 98304 floats");
  state.counters["Gelement/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * m * n) * 1e-9, benchmark::Counter::kIsRate);
}
BENCHMARK(row_ops)->DenseRange(0, 4);

}  // namespace

// kernels_bench [instruction set] [Google Benchmark's flags]
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc > 1 && !kernels::force_isa(argv[1])) {
    std::fprintf(stderr, "no instruction set '%s' here\n", argv[1]);
    return 2;
  }
  benchmark::AddCustomContext("instruction set", std::string(kernels::isa()));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
