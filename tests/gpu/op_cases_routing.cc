// Cases of the choice of experts, the order of rows by expert, their products and the sum.
#include <fmt/format.h>

#include <limits>

#include "kernels/select_experts.h"
#include "tests/gpu/op_cases.h"

namespace op_cases {
namespace {

struct RoutingShape {
  int32_t n_shared, n_routed;
  int64_t m, d, width;
  bool shared_gate;
};
constexpr RoutingShape kRoutingShapes[] = {
    {0, 64, 33, 128, 64, false}, {2, 14, 65, 72, 40, false}, {0, 8, 5, 64, 96, false},
    {1, 60, 40, 96, 48, true},   {0, 16, 1, 576, 96, false}, {0, 128, 200, 64, 32, false},
    {4, 300, 17, 33, 7, false},  {0, 1, 3, 64, 64, false},   {1, 0, 150, 64, 128, false},
    {0, 16, 600, 64, 96, false}};

std::vector<float> scores_of(Pair& p, const RoutingShape& s, bool ties) {
  auto v = p.normal(static_cast<size_t>(s.m * s.n_routed), 2);
  if (ties) {
    for (float& x : v) x = std::round(x * 2) / 2;
  }
  if (s.m > 4 && s.n_routed > 1) {  // rows that have no best
    v[static_cast<size_t>(2 * s.n_routed)] = std::numeric_limits<float>::quiet_NaN();
    v[static_cast<size_t>(4 * s.n_routed) - 1] = std::numeric_limits<float>::infinity();
  }
  return v;
}

std::vector<MoevalSelection> selections_of(const RoutingShape& s) {
  std::vector<MoevalSelection> out;
  for (int32_t k = 1; k <= 16; ++k) {
    for (int32_t rule = 0; rule < 4; ++rule) {
      const int32_t shared = std::min(k, s.n_shared);
      const float value = rule == 1 ? 0.5f : rule == 2 ? 0.05f : 0.5f;
      out.push_back({std::min(k - shared, s.n_routed), rule, shared, value, 9.0f});
    }
  }
  return out;
}

void check_shape(Pair& p, int32_t type, const RoutingShape& s, kernels::GateRule gate, bool ties) {
  const std::string name =
      fmt::format("{} {}+{} of {} gate {}{}", type_name(type), s.n_shared, s.n_routed, s.m,
                  static_cast<int>(gate), ties ? " ties" : "");
  const int32_t experts = s.n_shared + s.n_routed;
  const auto m = static_cast<size_t>(s.m), places = m * 16;
  const auto selections = selections_of(s);
  std::vector<int32_t> positions(m), budget_of(m);
  for (size_t r = 0; r < m; ++r) {
    positions[r] = r % 11 == 10 ? -1 : static_cast<int32_t>(r);
    budget_of[r] = static_cast<int32_t>(p.random() % selections.size());
  }
  auto input = p.normal(m * static_cast<size_t>(s.d));
  if (s.m > 4) input[static_cast<size_t>(3 * s.d) + 1] = std::numeric_limits<float>::infinity();
  const auto position = p.put(positions), budget = p.put(budget_of), selection = p.put(selections);
  const auto score = p.put(scores_of(p, s, ties));
  const auto shared = p.put(p.normal(m * static_cast<size_t>(std::max(1, s.n_shared))));
  const auto x = p.put(input, type);
  const auto ids = p.room(m * 32), weights = p.room(m * 64), margins = p.room(m * 4);
  const auto faults = p.put(std::vector<int32_t>(m, 0));
  p.run([&](int i) {
    MoevalRouting r{};
    r.positions = p.at<int32_t>(i, position), r.budget_of = p.at<int32_t>(i, budget);
    r.selections = p.at<MoevalSelection>(i, selection), r.layer = 0, r.n_layers = 1;
    r.n_shared = s.n_shared, r.n_routed = s.n_routed;
    r.gate_rule = static_cast<int32_t>(gate), r.trained_k = std::min(4, std::max(1, s.n_routed));
    r.scores = p.at<float>(i, score);
    r.shared_gates = s.shared_gate ? p.at<float>(i, shared) : nullptr;
    r.input = p.at(i, x), r.type = type, r.d = s.d;
    r.ids = p.at<int16_t>(i, ids), r.weights = p.at<float>(i, weights);
    r.margins = p.at<float>(i, margins), r.faults = p.at<int32_t>(i, faults);
    p.side[i].device->run(p.side[i].ops().select, &r, s.m);
  });
  p.same_bytes("select ids " + name, ids, m * 32);
  p.near("select weights " + name, weights, m * 16, kDeviceF32, 1e-6);
  p.near("select margins " + name, margins, m, kDeviceF32, 1e-5);
  p.same_bytes("select faults " + name, faults, m * 4);

  const auto counts = p.room(static_cast<size_t>(experts) * 4);
  const auto offsets = p.room(static_cast<size_t>(experts + 1) * 4);
  const auto active = p.room(static_cast<size_t>(experts) * 4);
  const auto source = p.put(std::vector<int32_t>(places, 0)), slot = p.room(places * 4);
  const auto dispatch = [&](int i) {
    return MoevalDispatch{experts,
                          p.at<int32_t>(i, counts),
                          p.at<int32_t>(i, offsets),
                          p.at<int32_t>(i, active),
                          p.at<int32_t>(i, source),
                          p.at<int32_t>(i, slot)};
  };
  p.run([&](int i) {
    const auto d = dispatch(i);
    p.side[i].device->run(p.side[i].ops().dispatch, p.at<const int16_t>(i, ids), s.m, &d);
  });
  p.same_bytes("dispatch counts " + name, counts, static_cast<size_t>(experts) * 4);
  p.same_bytes("dispatch offsets " + name, offsets, static_cast<size_t>(experts + 1) * 4);
  p.same_bytes("dispatch active " + name, active, static_cast<size_t>(experts) * 4);
  p.same_bytes("dispatch source " + name, source, places * 4);
  p.same_bytes("dispatch slot " + name, slot, places * 4);

  // The experts of the broken input row must not reach the comparison.
  for (float& v : input) v = std::isfinite(v) ? v : 1.0f;
  const auto good = p.put(input, type);
  const auto wide = static_cast<size_t>(experts * s.width * s.d);
  const float scale = 1 / std::sqrt(static_cast<float>(s.d));
  const auto gate_w = p.put(p.normal(wide, scale), type), up_w = p.put(p.normal(wide, scale), type);
  const auto down_w = p.put(p.normal(wide, scale), type);
  const size_t size = type == kDeviceF32 ? 4 : 2, rows_d = places * static_cast<size_t>(s.d);
  const auto gathered = p.room(rows_d * size);
  const auto hidden = p.room(2 * places * static_cast<size_t>(s.width) * size);
  const auto y = p.put(std::vector<float>(rows_d, 0), type);
  p.run([&](int i) {
    const auto d = dispatch(i);
    // Shared and routed experts apart, as a model with two widths runs them.
    for (const auto& [first, n] : {std::pair{0, s.n_shared}, {s.n_shared, s.n_routed}}) {
      if (n == 0) continue;
      const auto skip = static_cast<size_t>(first * s.width * s.d) * size;
      MoevalExperts e{};
      e.type = type, e.path = kDevicePathAuto, e.first = first, e.n = n;
      e.d = s.d, e.width = s.width;
      e.gate = p.at<std::byte>(i, gate_w) + skip, e.up = p.at<std::byte>(i, up_w) + skip;
      e.down = p.at<std::byte>(i, down_w) + skip;
      e.x = p.at(i, good), e.m = s.m, e.places = std::min<int64_t>(s.m * 16, s.m * n);
      e.gathered = p.at(i, gathered), e.hidden = p.at(i, hidden), e.y = p.at(i, y);
      p.side[i].device->run(p.side[i].ops().experts, &e, &d);
    }
  });
  p.near("experts " + name, y, rows_d, type, 2 * tolerance(type));

  const auto means = p.put(p.normal(static_cast<size_t>(experts) * static_cast<size_t>(s.d)));
  for (const bool compensate : {false, true}) {
    const auto sum = p.put(p.normal(m * static_cast<size_t>(s.d)));
    const auto norm = p.put(p.normal(static_cast<size_t>(s.d)));
    const auto normed = p.put(p.normal(m * static_cast<size_t>(s.d)), type);
    p.run([&](int i) {
      const auto d = dispatch(i);
      const MoevalCombine to{p.at<const int16_t>(i, ids),
                             p.at<const float>(i, weights),
                             compensate ? p.at<const float>(i, means) : nullptr,
                             p.at<float>(i, sum),
                             compensate ? p.at<const float>(i, norm) : nullptr,
                             1e-5f,
                             p.at(i, normed)};
      p.side[i].device->run(p.side[i].ops().combine, type, p.at<const void>(i, y), &d, &to, s.m,
                            s.d);
    });
    p.near(fmt::format("combine's norm {}", name), normed, m * static_cast<size_t>(s.d), type,
           4 * tolerance(type));
    p.near(fmt::format("combine{} {}", compensate ? " with means" : "", name), sum,
           m * static_cast<size_t>(s.d), kDeviceF32, 3 * tolerance(type));
  }
  p.clear();
}

// route against the same steps of the plain module. Scores are not bitwise the same, so a choice
// counts where it was not a matter of rounding.
void check_route(Pair& p, int32_t type, int64_t m, int32_t n, int64_t d) {
  const auto rows = static_cast<size_t>(m);
  const auto x = p.put(p.normal(rows * static_cast<size_t>(d), 1, 10));
  const auto norm = p.put(p.normal(static_cast<size_t>(d)));
  const auto bias = p.put(p.normal(static_cast<size_t>(n)));
  const auto router = p.put(p.normal(static_cast<size_t>(n * d), 0.1f), type);
  std::vector<int32_t> positions(rows), budget_of(rows, 0);
  for (size_t r = 0; r < rows; ++r) positions[r] = r % 7 == 6 ? -1 : static_cast<int32_t>(r);
  const MoevalSelection selection{std::min(8, n), 0, 0, 0, 0};
  const auto position = p.put(positions), budget = p.put(budget_of);
  const auto selections = p.put(std::vector{selection});
  const auto normed = p.room(rows * static_cast<size_t>(d) * 4), scores = p.room(rows * 4 * 512);
  const auto ids = p.room(rows * 32), weights = p.room(rows * 64), margins = p.room(rows * 4);
  const auto faults = p.put(std::vector<int32_t>(rows, 0));
  const auto counts = p.room(static_cast<size_t>(n) * 4),
             active = p.room(static_cast<size_t>(n) * 4);
  const auto offsets = p.room(static_cast<size_t>(n + 1) * 4);
  const auto source = p.put(std::vector<int32_t>(rows * 16, 0)), slot = p.room(rows * 64);
  p.run([&](int i) {
    MoevalRoute r{};
    MoevalRouting& c = r.routing;
    c.positions = p.at<int32_t>(i, position), c.budget_of = p.at<int32_t>(i, budget);
    c.selections = p.at<MoevalSelection>(i, selections), c.n_layers = 1, c.n_routed = n;
    c.trained_k = 1, c.scores = p.at<float>(i, scores), c.input = p.at(i, normed), c.type = type;
    c.d = d, c.ids = p.at<int16_t>(i, ids), c.weights = p.at<float>(i, weights);
    c.margins = p.at<float>(i, margins), c.faults = p.at<int32_t>(i, faults);
    r.dispatch = {n,
                  p.at<int32_t>(i, counts),
                  p.at<int32_t>(i, offsets),
                  p.at<int32_t>(i, active),
                  p.at<int32_t>(i, source),
                  p.at<int32_t>(i, slot)};
    r.x = p.at<float>(i, x), r.norm_weight = p.at<float>(i, norm), r.eps = 1e-5f;
    r.router = p.at(i, router), r.bias = p.at<float>(i, bias), r.normed = p.at(i, normed);
    r.scores = p.at<float>(i, scores);
    // Twice: what the first leaves behind must not reach the second.
    for (int round = 0; round < 2; ++round) p.side[i].device->run(p.side[i].ops().route, &r, m);
  });
  const std::string name = fmt::format("{} {} of {} x {}", type_name(type), m, n, d);
  p.near("route normed " + name, normed, rows * static_cast<size_t>(d), type, tolerance(type));
  const auto margin = floats(p.get(1, margins, rows * 4), kDeviceF32);
  const auto a = p.get(0, ids, rows * 32), b = p.get(1, ids, rows * 32);
  const auto ours = floats(p.get(0, weights, rows * 64), kDeviceF32);
  const auto theirs = floats(p.get(1, weights, rows * 64), kDeviceF32);
  bool same = true, near = true, clear = true;
  for (size_t r = 0; r < rows; ++r) {
    if (margin[r] < (type == kDeviceF32 ? 1e-6f : 5e-3f)) {
      clear = false;
      continue;
    }
    same = same && std::memcmp(a.data() + r * 32, b.data() + r * 32, 32) == 0;
    for (size_t j = r * 16; j < r * 16 + 16; ++j) {
      near = near && std::fabs(ours[j] - theirs[j]) <= (type == kDeviceF32 ? 1e-5f : 2e-2f);
    }
  }
  p.expect("route ids " + name, same);
  p.expect("route weights " + name, near);
  if (clear) {
    p.same_bytes("route counts " + name, counts, static_cast<size_t>(n) * 4);
    p.same_bytes("route slot " + name, slot, rows * 64);
  }
  p.clear();
}

// Experts and their sum in one op, as a step of few rows runs them: k of n experts, ids as `select`
// leaves them.
void check_experts_combine(Pair& p, int32_t type, int64_t m, int32_t n, int32_t k, int64_t d,
                           int64_t width, bool compensate, bool padding) {
  const auto rows = static_cast<size_t>(m), places = rows * 16;
  std::vector<int16_t> ids(places, -1);
  std::vector<float> weights(places, 0);
  for (size_t r = 0; r < rows; ++r) {
    if (padding && r == rows - 1) continue;
    int left = k;
    for (int e = 0, j = 0; e < n && left > 0; ++e) {  // each subset is as likely as any other
      if (p.random() % static_cast<uint64_t>(n - e) >= static_cast<uint64_t>(left)) continue;
      ids[r * 16 + static_cast<size_t>(j)] = static_cast<int16_t>(e);
      weights[r * 16 + static_cast<size_t>(j++)] = p.normal(1)[0];
      --left;
    }
  }
  const auto id = p.put(ids), weight = p.put(weights);
  const auto counts = p.room(static_cast<size_t>(n) * 4),
             active = p.room(static_cast<size_t>(n) * 4);
  const auto offsets = p.room(static_cast<size_t>(n + 1) * 4), slot = p.room(places * 4);
  const auto source = p.put(std::vector<int32_t>(places, 0));
  const auto stack = static_cast<size_t>(n * width * d);
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const auto gate = p.put(p.normal(stack, scale), type), up = p.put(p.normal(stack, scale), type);
  const auto down = p.put(p.normal(stack, scale), type);
  const auto rows_d = rows * static_cast<size_t>(d);
  const auto x = p.put(p.normal(rows_d, 1, 10), type), sum = p.put(p.normal(rows_d));
  const auto means = p.put(p.normal(static_cast<size_t>(n * d)));
  const auto gathered = p.room(places * static_cast<size_t>(d) * 4);
  const auto hidden = p.room(2 * places * static_cast<size_t>(width) * 4);
  const auto y = p.put(std::vector<float>(places * static_cast<size_t>(d), 0), type);
  p.run([&](int i) {
    const auto& ops = p.side[i].ops();
    const MoevalDispatch by{n,
                            p.at<int32_t>(i, counts),
                            p.at<int32_t>(i, offsets),
                            p.at<int32_t>(i, active),
                            p.at<int32_t>(i, source),
                            p.at<int32_t>(i, slot)};
    MoevalExperts e{};
    e.type = type, e.path = kDevicePathAuto, e.n = n, e.d = d, e.width = width;
    e.gate = p.at(i, gate), e.up = p.at(i, up), e.down = p.at(i, down);
    e.x = p.at(i, x), e.m = m, e.places = m * std::min(n, 16);
    e.gathered = p.at(i, gathered), e.hidden = p.at(i, hidden), e.y = p.at(i, y);
    const MoevalCombine to{p.at<const int16_t>(i, id),
                           p.at<const float>(i, weight),
                           compensate ? p.at<const float>(i, means) : nullptr,
                           p.at<float>(i, sum),
                           nullptr,
                           0,
                           nullptr};
    p.side[i].device->run(ops.dispatch, p.at<const int16_t>(i, id), m, &by);
    // Twice: the second reads what the first left.
    for (int round = 0; round < 2; ++round) {
      p.side[i].device->run(ops.experts_combine, &e, &by, &to);
    }
  });
  p.near(fmt::format("experts_combine {} {} rows, {} of {}, {} x {}{}{}", type_name(type), m, k, n,
                     d, width, compensate ? " means" : "", padding ? " padding" : ""),
         sum, rows_d, kDeviceF32, 4 * tolerance(type));
  p.clear();
}

}  // namespace

void check_routing(Pair& p, int32_t type) {
  for (const int64_t m : {1, 2, 33, 64, 65, 300}) check_route(p, type, m, 64, 2048);
  check_route(p, type, 20, 8, 72);
  check_route(p, type, 20, 128, 576);
  check_route(p, type, 9, 200, 33);
  check_route(p, type, 1, 16, 576);
  check_route(p, type, 1, 128, 4096);
  for (const int32_t k : {1, 2, 3, 8, 16}) {
    check_experts_combine(p, type, 1, 64, k, 256, 1024, false, false);
    check_experts_combine(p, type, 1, 16, k, 576, 96, true, false);
    check_experts_combine(p, type, 5, 16, k, 576, 96, true, true);
  }
  check_experts_combine(p, type, 1, 8, 2, 2048, 1536, false, false);
  check_experts_combine(p, type, 1, 8, 2, 64, 96, true, true);
  check_experts_combine(p, type, 1, 8, 2, 72, 33, false, false);
  int i = 0;
  for (const RoutingShape& s : kRoutingShapes) {
    for (const bool ties : {false, true}) {
      check_shape(p, type, s, static_cast<kernels::GateRule>(i++ % 5), ties);
    }
  }
}

}  // namespace op_cases
