// Holds a module against the plain one: op_cases TESTED.so REFERENCE.so [TYPE]. TYPE: f32, f16 or
// bf16 alone. Exit code 1: something differs.
#include <fmt/format.h>

#include <limits>

#include "tests/gpu/op_cases.h"

namespace op_cases {

void check_head(Pair& p) {
  for (const int64_t vocab : {7, 97, 512, 49152}) {
    const int64_t n = 13;
    auto logits = p.normal(static_cast<size_t>(n * vocab), 4);
    for (int64_t r = 0; r < n; r += 3) {  // ties for the best
      logits[static_cast<size_t>(r * vocab + vocab / 2)] = 40;
      logits[static_cast<size_t>(r * vocab + vocab - 1)] = 40;
    }
    logits[static_cast<size_t>(1 * vocab + 3)] = std::numeric_limits<float>::quiet_NaN();
    logits[static_cast<size_t>(4 * vocab + 2)] = -std::numeric_limits<float>::infinity();
    const auto l = p.put(logits), facts = p.room(static_cast<size_t>(n) * sizeof(MoevalHeadFacts));
    p.run([&](int i) {
      p.side[i].device->run(p.side[i].ops().head_facts, p.at<const float>(i, l), n, vocab,
                            p.at<MoevalHeadFacts>(i, facts));
    });
    std::vector<MoevalHeadFacts> got[2];
    for (int i = 0; i < 2; ++i) {
      got[i].resize(static_cast<size_t>(n));
      const auto bytes = p.get(i, facts, static_cast<size_t>(n) * sizeof(MoevalHeadFacts));
      std::memcpy(got[i].data(), bytes.data(), bytes.size());
    }
    bool same = true, near = true;
    for (size_t r = 0; r < got[0].size(); ++r) {
      const auto &a = got[0][r], &b = got[1][r];
      same = same && a.finite == b.finite && (!b.finite || a.argmax == b.argmax);
      near = near && (!b.finite || std::fabs(a.log_sum_exp - b.log_sum_exp) < 2e-6);
    }
    p.expect(fmt::format("head_facts finite and argmax of {}", vocab), same);
    p.expect(fmt::format("head_facts log-sum-exp of {}", vocab), near);
    std::vector<int32_t> rows, tokens;
    for (int i = 0; i < 50; ++i) {
      rows.push_back(static_cast<int32_t>(p.random() % static_cast<uint64_t>(n)));
      tokens.push_back(static_cast<int32_t>(p.random() % static_cast<uint64_t>(vocab)));
    }
    const auto row = p.put(rows), token = p.put(tokens), out = p.room(50 * 4);
    p.run([&](int i) {
      p.side[i].device->run(p.side[i].ops().pick, p.at<const float>(i, l), vocab,
                            p.at<const int32_t>(i, row), p.at<const int32_t>(i, token), int64_t{50},
                            p.at<float>(i, out));
    });
    p.same_bytes(fmt::format("pick of {}", vocab), out, 50 * 4);
    p.clear();
  }
  // A captured product, run again after its input changed.
  const int64_t m = 4, n = 64;
  const auto w = p.put(p.normal(static_cast<size_t>(n * n)), kDeviceBf16);
  const auto x = p.put(p.normal(static_cast<size_t>(m * n)), kDeviceBf16);
  const auto next = stored(p.normal(static_cast<size_t>(m * n)), kDeviceBf16);
  const auto y = p.put(std::vector<float>(static_cast<size_t>(m * n), 0));
  p.run([&](int i) {
    const auto& device = *p.side[i].device;
    const auto& ops = p.side[i].ops();
    MoevalGraph* graph = nullptr;
    device.run(ops.capture_begin);
    device.run(ops.matmul, int32_t{kDeviceBf16}, p.at<const void>(i, x), m, p.at<const void>(i, w),
               n, n, nullptr, int32_t{kDeviceF32}, 1, p.at(i, y));
    device.run(ops.capture_end, &graph);
    device.run(ops.launch, graph);
    device.synchronize();
    device.run(ops.upload, p.at(i, x), static_cast<const void*>(next.data()), next.size());
    device.run(ops.launch, graph);
    device.synchronize();
    ops.release_graph(device.handle(), graph);
  });
  p.near("a graph run twice", y, static_cast<size_t>(m * n), kDeviceF32, 5e-6);
  p.clear();
}

}  // namespace op_cases

int main(int argc, char** argv) {
  std::vector<int32_t> types{kDeviceF32, kDeviceF16, kDeviceBf16};
  if (argc == 4)
    std::erase_if(types, [&](int32_t t) { return argv[3] != std::string(op_cases::type_name(t)); });
  if (argc < 3 || argc > 4 || types.empty()) {
    fmt::print(stderr, "usage: op_cases TESTED.so REFERENCE.so [f32|f16|bf16]\n");
    return 2;
  }
  try {
    op_cases::Pair pair(argv[1], argv[2]);
    for (const int32_t type : types) {
      op_cases::check_rows(pair, type);
      op_cases::check_routing(pair, type);
      op_cases::check_attention(pair, type);
    }
    op_cases::check_head(pair);
    fmt::print("{} passed, {} failed\n", pair.passes(), pair.failures());
    return pair.failures() == 0 ? 0 : 1;
  } catch (const std::exception& e) {
    fmt::print(stderr, "op_cases: {}\n", e.what());
    return 1;
  }
}
