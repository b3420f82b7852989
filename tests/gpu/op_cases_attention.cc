// Cases of the norm of heads, rotary embedding, the storing of keys and values, and attention over
// what is stored, in prefill and in decode.
#include <fmt/format.h>

#include "tests/gpu/op_cases.h"

namespace op_cases {
namespace {

struct Shape {
  int64_t n_heads, n_kv_heads, d_head, d_rot;
  bool interleaved, normed, whole;
};
constexpr Shape kShapes[] = {{16, 16, 128, 128, false, true, true},
                             {9, 3, 64, 64, true, false, false},
                             {32, 8, 128, 128, false, true, false},
                             {4, 2, 24, 12, false, true, true},
                             {14, 2, 64, 32, false, false, false}};
constexpr int32_t kLayers = 2, kLayer = 1;
constexpr int64_t kPositions = 200;

// Sequences with `before` positions already stored and `now` rows in this step.
struct Sequence {
  int64_t before, now;
};

void check(Pair& p, int32_t type, const Shape& s, const std::vector<Sequence>& sequences,
           bool decode, bool fused) {
  const std::string name = fmt::format(
      "{} {}/{}x{} rot {}{}{}{}{}", type_name(type), s.n_heads, s.n_kv_heads, s.d_head, s.d_rot,
      s.interleaved ? " interleaved" : "", s.normed ? s.whole ? " whole" : " heads" : "",
      decode ? " decode" : "", fused ? " in one" : "");
  const size_t size = type == kDeviceF32 ? 4 : 2;
  const int64_t width = (s.n_heads + 2 * s.n_kv_heads) * s.d_head;
  const auto block = static_cast<size_t>(kLayers * 2 * s.n_kv_heads * 64 * s.d_head);
  std::vector<int32_t> positions, table_at, tiles;
  std::vector<size_t> blocks;
  for (const Sequence& q : sequences) {
    const auto first = static_cast<int32_t>(blocks.size());
    for (int64_t b = 0; b * 64 < q.before + q.now; ++b) {
      blocks.push_back(p.put(p.normal(block), type));
    }
    for (int64_t i = 0; i < q.now; ++i) {
      if (i % 64 == 0) {
        tiles.push_back(static_cast<int32_t>(positions.size()));
        tiles.push_back(static_cast<int32_t>(std::min<int64_t>(64, q.now - i)));
      }
      positions.push_back(static_cast<int32_t>(q.before + i));
      table_at.push_back(first);
    }
  }
  if (decode) {
    positions.push_back(-1);  // padding
    table_at.push_back(0);
  }
  const auto m = static_cast<int64_t>(positions.size());
  std::vector<float> turns(static_cast<size_t>(kPositions * s.d_rot));
  for (int64_t i = 0; i < kPositions * s.d_rot / 2; ++i) {
    const double angle =
        static_cast<double>(i / (s.d_rot / 2)) / static_cast<double>(1 + 3 * (i % (s.d_rot / 2)));
    turns[static_cast<size_t>(2 * i)] = static_cast<float>(std::cos(angle));
    turns[static_cast<size_t>(2 * i + 1)] = static_cast<float>(std::sin(angle));
  }
  const auto position = p.put(positions), at = p.put(table_at), tile = p.put(tiles);
  const auto turn = p.put(turns);
  const auto qkv = p.put(p.normal(static_cast<size_t>(m * width), 1, 10), type);
  const int64_t d_q = s.n_heads * s.d_head, d_kv = s.n_kv_heads * s.d_head;
  const auto q_norm = p.put(p.normal(static_cast<size_t>(s.whole ? d_q : s.d_head)));
  const auto k_norm = p.put(p.normal(static_cast<size_t>(s.whole ? d_kv : s.d_head)));
  const auto out = p.put(p.normal(static_cast<size_t>(m * d_q)), type);
  const MoevalHeads heads{type, s.n_heads, s.n_kv_heads, s.d_head};
  size_t tables[2], scratch[2];
  for (int i = 0; i < 2; ++i) {  // addresses differ
    std::vector<void*> addresses;
    for (const size_t b : blocks) addresses.push_back(p.at(i, b));
    tables[i] = p.put(addresses);
    const uint64_t bytes = p.side[i].ops().attention_scratch(p.side[i].device->handle(), &heads, m);
    scratch[i] = p.put(std::vector<uint8_t>(bytes, 0));
  }
  p.run([&](int i) {
    const MoevalRows rows{m,
                          nullptr,
                          p.at<int32_t>(i, position),
                          p.at<int32_t>(i, at),
                          p.at<void*>(i, tables[i]),
                          decode ? nullptr : p.at<int32_t>(i, tile),
                          decode ? 0 : static_cast<int64_t>(tiles.size()) / 2};
    const MoevalQkNorm norm{s.normed ? p.at<float>(i, q_norm) : nullptr, p.at<float>(i, k_norm),
                            s.whole ? 1 : 0, 1e-5f};
    const auto& ops = p.side[i].ops();
    if (fused) {
      p.side[i].device->run(ops.rope_attention, &heads, &rows, kLayer, p.at(i, qkv), &norm,
                            p.at<const float>(i, turn), s.d_rot, s.interleaved ? 1 : 0,
                            p.at(i, out), p.at(i, scratch[i]));
      return;
    }
    p.side[i].device->run(ops.rope_and_store, &heads, &rows, kLayer, p.at(i, qkv), &norm,
                          p.at<const float>(i, turn), s.d_rot, s.interleaved ? 1 : 0);
    p.side[i].device->run(ops.attention, &heads, &rows, kLayer, p.at<const void>(i, qkv),
                          p.at(i, out), p.at(i, scratch[i]));
  });
  if (!fused)
    p.near("rope qkv " + name, qkv, static_cast<size_t>(m * width), type, 2 * tolerance(type));
  bool same = true;
  for (const size_t b : blocks) {
    const auto ours = floats(p.get(0, b, block * size), type);
    const auto theirs = floats(p.get(1, b, block * size), type);
    for (size_t i = 0; i < block && same; ++i) {
      same = std::fabs(ours[i] - theirs[i]) <= 0.02f * std::max(1.0f, std::fabs(theirs[i]));
    }
  }
  p.expect("stored keys and values " + name, same);
  // Keys that were rounded differently move the scores of outliers.
  p.near("attention " + name, out, static_cast<size_t>(m * d_q), type, 5 * tolerance(type));
  p.clear();
}

}  // namespace

void check_attention(Pair& p, int32_t type) {
  for (const Shape& s : kShapes) {
    for (const bool fused : {false, true}) {
      check(p, type, s, {{0, 1}, {0, 65}, {63, 2}, {64, 33}, {130, 64}}, false, fused);
      check(p, type, s, {{0, 1}, {5, 1}, {63, 1}, {64, 1}, {199, 1}}, true, fused);
    }
  }
}

}  // namespace op_cases
