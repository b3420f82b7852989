#include "harness/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/device_choice.h"
#include "harness/text_table.h"

namespace harness {
namespace {

using nlohmann::json;

const BenchResult* find(const BenchReport& r, const std::string& name, const std::string& variant,
                        int32_t streams) {
  const auto found = std::find_if(r.cases.begin(), r.cases.end(), [&](const BenchResult& c) {
    return c.name == name && c.streams == streams && c.variant == variant && !c.seconds.empty();
  });
  return found == r.cases.end() ? nullptr : &*found;
}

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

double tokens_of(const BenchResult& c) { return static_cast<double>(c.tokens); }

std::string percent_of(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f}%", 100 * part / whole) : "n/a";
}

}  // namespace

std::vector<SpeedRatio> speed_ratios(const BenchReport& report) {
  std::vector<SpeedRatio> out;
  const auto add = [&](std::string what, const BenchResult* fast, const BenchResult* slow) {
    if (fast == nullptr || slow == nullptr || fast == slow) return;
    out.push_back(
        {std::move(what),
         rate(tokens_of(*fast), fast->best()) / rate(tokens_of(*slow), slow->best()),
         rate(tokens_of(*fast), fast->median()) / rate(tokens_of(*slow), slow->median())});
  };
  // Cases of one name and as many streams, by k.
  for (const BenchResult& c : report.cases) {
    if (c.name != "prefill" && c.name != "decode") continue;
    const BenchResult* largest = &c;
    for (const BenchResult& other : report.cases)
      if (other.name == c.name && other.streams == c.streams && other.k > largest->k)
        largest = &other;
    const auto streams = c.name == "decode"
                             ? fmt::format(", {} stream{}", c.streams, c.streams == 1 ? "" : "s")
                             : std::string();
    add(fmt::format("{}{}: {} over {}", c.name, streams, c.variant, largest->variant),
        find(report, c.name, c.variant, c.streams),
        find(report, largest->name, largest->variant, largest->streams));
  }
  for (const BenchResult& c : report.cases) {
    if (c.name == "decode" && c.streams > 1)
      add(fmt::format("decode, {}: {} streams over one", c.variant, c.streams),
          find(report, c.name, c.variant, c.streams), find(report, c.name, c.variant, 1));
    if (c.name == "humaneval" && c.streams > 1)
      add(fmt::format("humaneval: {} over one", c.variant),
          find(report, c.name, c.variant, c.streams), find(report, c.name, "1 stream", 1));
    if (c.name == "mmlu" && c.variant == "prefix once")
      add("mmlu: prefix once over whole prompts", find(report, c.name, c.variant, 1),
          find(report, c.name, "whole", 1));
    if (c.name.starts_with("mixed_") && c.variant.starts_with("mixed"))
      for (const BenchResult& mean : report.cases)
        if (mean.name == c.name && mean.variant.starts_with("fixed"))
          add(fmt::format("{}: {} over {}", c.name, c.variant, mean.variant),
              find(report, c.name, c.variant, c.streams),
              find(report, mean.name, mean.variant, mean.streams));
  }
  return out;
}

std::string render_bench(const BenchSubject& s, const BenchReport& report, bool markdown) {
  const double most_flops = report.best_flops(), most_bytes = report.best_bytes();
  const bool gpu = s.device.device != "cpu";
  std::string out = fmt::format(
      "{} {}, {}B of weights, loaded in {}; {} thread{}, {}, {}\n{}"
      "limits measured in the same rounds (best of {}): {}FLOP/s {}, {}B/s {}\n\n",
      s.model, s.dtype, si(static_cast<double>(s.weight_bytes)), duration(s.load_seconds),
      s.threads, s.threads == 1 ? "" : "s", s.instruction_set, s.cpu,
      gpu ? fmt::format("computed on {} ({}), weights as {}; driver {}, CUDA {}, cuBLAS {}\n",
                        s.device.device, s.device.name, s.device.type, s.driver, s.cuda,
                        cublas_version(s.device.blas))
          : "",
      report.limit_flops.size(), si(most_flops), report.flops_limit, si(most_bytes),
      report.bytes_limit);
  TextTable table({{"work"},
                   {"variant"},
                   {"mean k", Align::right},
                   {"streams", Align::right},
                   {"tokens", Align::right},
                   {"tok/s best", Align::right},
                   {"median", Align::right},
                   {"FLOP/s", Align::right},
                   {gpu ? "of dense" : "of fp32", Align::right},
                   {"weights B/s", Align::right},
                   {gpu ? "of copy" : "of read", Align::right},
                   {"best", Align::right},
                   {"rounds", Align::right}});
  for (const BenchResult& c : report.cases) {
    if (c.seconds.empty()) continue;
    const double flops = rate(static_cast<double>(c.flops), c.best()),
                 bytes = rate(static_cast<double>(c.weight_bytes), c.best());
    table.add({c.name, c.variant, fmt::format("{:g}", c.k), fmt::format("{}", c.streams),
               fmt::format("{}", c.tokens), fmt::format("{:.1f}", rate(tokens_of(c), c.best())),
               fmt::format("{:.1f}", rate(tokens_of(c), c.median())), si(flops),
               percent_of(flops, most_flops), si(bytes), percent_of(bytes, most_bytes),
               duration(c.best()), fmt::format("{}", c.seconds.size())});
  }
  out += markdown ? table.markdown() : table.terminal();
  const auto ratios = speed_ratios(report);
  if (!ratios.empty()) {
    TextTable by({{"tokens a second of"}, {"best", Align::right}, {"median", Align::right}});
    for (const auto& r : ratios)
      by.add({r.what, fmt::format("{:.2f}x", r.best), fmt::format("{:.2f}x", r.median)});
    out += "\n" + (markdown ? by.markdown() : by.terminal());
  }
  out +=
      "\nprefill, mixed_prefill and mmlu count tokens read, the others tokens written. FLOP/s and "
      "B/s\nare of launched work in the best round; weights are counted once an op, the KV cache "
      "is left out.\nmmlu counts the whole prompt of every question, also where the prefix is "
      "computed once.\n";
  if (!gpu) out += "Quantised weights are multiplied in fp32, so fp32 is their limit too.\n";
  return out;
}

std::string bench_json(const BenchSubject& s, const BenchReport& report) {
  json cases = json::array();
  for (const BenchResult& c : report.cases) {
    if (c.seconds.empty()) continue;
    const double flops = rate(static_cast<double>(c.flops), c.best()),
                 bytes = rate(static_cast<double>(c.weight_bytes), c.best());
    cases.push_back(
        {{"work", c.name},
         {"variant", c.variant},
         {"mean_k", c.k},
         {"streams", c.streams},
         {"tokens", c.tokens},
         {"seconds", c.seconds},
         {"tokens_per_second_best", rate(tokens_of(c), c.best())},
         {"tokens_per_second_median", rate(tokens_of(c), c.median())},
         {"flops", c.flops},
         {"weight_bytes", c.weight_bytes},
         {"s_mfu", report.best_flops() > 0 ? json(flops / report.best_flops()) : json()},
         {"s_mbu", report.best_bytes() > 0 ? json(bytes / report.best_bytes()) : json()}});
  }
  json ratios = json::array();
  for (const auto& r : speed_ratios(report))
    ratios.push_back({{"what", r.what}, {"best", r.best}, {"median", r.median}});
  json device{{"device", s.device.device}};
  if (s.device.device != "cpu")
    device.update({{"name", s.device.name},
                   {"type", s.device.type},
                   {"uuid", s.device.uuid},
                   {"driver", s.driver},
                   {"cuda", s.cuda},
                   {"cublas", cublas_version(s.device.blas)}});
  return json{{"model", s.model},
              {"dtype", s.dtype},
              {"weight_bytes", s.weight_bytes},
              {"load_seconds", s.load_seconds},
              {"threads", s.threads},
              {"instruction_set", s.instruction_set},
              {"cpu", s.cpu},
              {"commit", s.commit},
              {"device", device},
              {"flops_limit", report.flops_limit},
              {"bytes_limit", report.bytes_limit},
              {"limit_flops_per_second", report.limit_flops},
              {"limit_bytes_per_second", report.limit_bytes},
              {"cases", cases},
              {"ratios", ratios}}
             .dump(1) +
         "\n";
}

}  // namespace harness
