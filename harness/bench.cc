#include "harness/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "harness/device_limits.h"
#include "kernels/limits.h"
#include "kernels/thread_pool.h"

namespace harness {
namespace {

constexpr int64_t kReadFloats = int64_t{64} << 20;  // 256 MiB: more than caches hold

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The loops of kernels/limits.h on as many threads as the engine has.
class CpuLimits {
 public:
  explicit CpuLimits(int threads) : pool_(threads), data_(static_cast<size_t>(kReadFloats), 1.0f) {}
  LimitRates measure() {
    double flops = 0;
    const double fma = seconds_of([&] { flops = kernels::fma_burst(pool_); });
    const double read =
        seconds_of([&] { sum_ = kernels::read_sum(data_.data(), kReadFloats, pool_); });
    return {flops / fma, static_cast<double>(kReadFloats) * sizeof(float) / read};
  }

 private:
  kernels::ThreadPool pool_;
  std::vector<float> data_;
  volatile float sum_ = 0;  // so that the reading is needed
};

// Says what they are in the report.
std::function<LimitRates()> limits_of(const engine::Engine& engine, BenchReport* report) {
  const auto device = engine.device();
  if (device.device == "cpu") {
    report->flops_limit = "fp32 multiply-adds";
    report->bytes_limit = "memory read";
    return [limits = std::make_shared<CpuLimits>(engine.options().threads)] {
      return limits->measure();
    };
  }
  const auto limits = std::make_shared<DeviceLimits>(device.device, engine.options().device_type);
  report->flops_limit = fmt::format("dense {} product of {}^3", device.type, limits->sizes().edge);
  report->bytes_limit =
      fmt::format("memory copy of {} MiB, read and written", limits->sizes().copy_bytes >> 20);
  return [limits] { return limits->measure(); };
}

double best_of(const std::vector<double>& rates) {
  return rates.empty() ? 0 : *std::max_element(rates.begin(), rates.end());
}

}  // namespace

double BenchResult::best() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}

double BenchResult::median() const {
  if (seconds.empty()) return 0;
  auto sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
}

double BenchReport::best_flops() const { return best_of(limit_flops); }
double BenchReport::best_bytes() const { return best_of(limit_bytes); }

int64_t bench_steps(const BenchWork& work, int rounds) {
  return static_cast<int64_t>(work.cases().size()) * (rounds + 1);
}

BenchReport bench(engine::Engine& engine, const BenchWork& work, int rounds,
                  const std::function<bool()>& progress) {
  BenchReport report;
  for (const BenchCase& c : work.cases()) {
    report.cases.push_back({c.name, c.variant, c.k, c.streams, c.tokens, 0, 0, {}});
    (c.warm_up ? c.warm_up : c.run)();  // caches, pages and prefixes
    if (!progress()) return report;
  }
  const auto limits = limits_of(engine, &report);
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> seconds;
    for (size_t i = 0; i < work.cases().size(); ++i) {
      const auto before = engine.launched();
      seconds.push_back(seconds_of(work.cases()[i].run));
      const auto after = engine.launched();
      report.cases[i].flops = after.executed_flops() - before.executed_flops();
      report.cases[i].weight_bytes = after.executed_weight_bytes() - before.executed_weight_bytes();
      if (!progress()) return report;
    }
    const LimitRates rates = limits();
    report.limit_flops.push_back(rates.flops);
    report.limit_bytes.push_back(rates.bytes);
    for (size_t i = 0; i < seconds.size(); ++i) report.cases[i].seconds.push_back(seconds[i]);
  }
  return report;
}

}  // namespace harness
