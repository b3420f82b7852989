// Cases of the ops on one row at a time and of dense products.
#include <fmt/format.h>

#include "tests/gpu/op_cases.h"

namespace op_cases {
namespace {

struct Product {
  int64_t m, n_out, n_in;
};
// Around the borders of the paths: few rows, many rows, dimensions that no vector width divides.
constexpr Product kProducts[] = {{1, 96, 64},    {1, 2048, 2048}, {1, 9000, 576},  {1, 40, 6144},
                                 {3, 1000, 72},  {8, 64, 576},    {9, 576, 1536},  {16, 1536, 576},
                                 {17, 128, 96},  {31, 48, 2048},  {32, 6144, 256}, {33, 6144, 256},
                                 {64, 64, 2048}, {65, 97, 40},    {200, 50, 33},   {256, 577, 192},
                                 {700, 512, 128}};

void check_products(Pair& p, int32_t type) {
  for (const Product& c : kProducts) {
    const auto n = static_cast<size_t>(c.m * c.n_out);
    const auto x = p.put(p.normal(static_cast<size_t>(c.m * c.n_in), 1, 20), type);
    const auto w = p.put(
        p.normal(static_cast<size_t>(c.n_out * c.n_in), 1 / std::sqrt(static_cast<float>(c.n_in))),
        type);
    const auto bias = p.put(p.normal(static_cast<size_t>(c.n_out)));
    for (const bool biased : {false, true}) {
      for (const int32_t y_type : {type, int32_t{kDeviceF32}}) {
        const auto y = p.room(n * (y_type == kDeviceF32 ? 4 : 2));
        p.run([&](int i) {
          p.side[i].device->run(p.side[i].ops().matmul, type, p.at<const void>(i, x), c.m,
                                p.at<const void>(i, w), c.n_out, c.n_in,
                                biased ? p.at<const float>(i, bias) : nullptr, y_type, 0,
                                p.at(i, y));
        });
        // A 16-bit product without fp32 output rounds once, cuBLAS with a bias twice.
        const double most = y_type == kDeviceF32 ? 5e-6 : 2 * tolerance(type);
        p.near(fmt::format("matmul {} {}x{}x{}{}{}", type_name(type), c.m, c.n_out, c.n_in,
                           biased ? " bias" : "", y_type != type ? " to f32" : ""),
               y, n, y_type, most);
      }
    }
    if (c.n_in % 4 == 0) {
      const auto rows = static_cast<size_t>(c.m), wide = rows * static_cast<size_t>(c.n_in);
      const auto raw = p.put(p.normal(wide, 3, 20)), normed = p.room(wide * 4);
      const auto norm = p.put(p.normal(static_cast<size_t>(c.n_in)));
      std::vector<int32_t> picks(rows);
      for (auto& r : picks) r = static_cast<int32_t>(p.random() % rows);
      const auto picked = p.put(picks);
      for (const bool plain : {false, true}) {
        const int32_t y_type = plain ? int32_t{kDeviceF32} : type;
        const auto y = p.room(n * 4);
        p.run([&](int i) {
          const MoevalNormMatmul product{type,
                                         y_type,
                                         p.at<const float>(i, raw),
                                         plain ? p.at<const int32_t>(i, picked) : nullptr,
                                         c.m,
                                         c.n_in,
                                         c.n_out,
                                         p.at<const float>(i, norm),
                                         1e-5f,
                                         p.at(i, normed),
                                         p.at<const void>(i, w),
                                         plain ? nullptr : p.at<const float>(i, bias),
                                         p.at(i, y)};
          p.side[i].device->run(p.side[i].ops().norm_matmul, &product);
        });
        p.near(fmt::format("norm_matmul {} {}x{}x{}{}", type_name(type), c.m, c.n_out, c.n_in,
                           plain ? " of rows" : " bias"),
               y, n, y_type, 3 * tolerance(type));
      }
    }
    const auto sum = p.put(p.normal(n));
    p.run([&](int i) {
      p.side[i].device->run(p.side[i].ops().matmul, type, p.at<const void>(i, x), c.m,
                            p.at<const void>(i, w), c.n_out, c.n_in, nullptr, kDeviceF32, 1,
                            p.at(i, sum));
    });
    p.near(fmt::format("matmul {} {}x{}x{} added", type_name(type), c.m, c.n_out, c.n_in), sum, n,
           kDeviceF32, 5e-6);
    p.clear();
  }
}

}  // namespace

void check_rows(Pair& p, int32_t type) {
  const char* name = type_name(type);
  for (const int64_t d : {33, 64, 576, 2048, 5000}) {
    const int64_t m = 37, vocab = 101;
    const auto nd = static_cast<size_t>(m * d);
    const auto table = p.put(p.normal(static_cast<size_t>(vocab * d)), type);
    std::vector<int32_t> tokens(static_cast<size_t>(m)), rows(static_cast<size_t>(m));
    for (auto& t : tokens) t = static_cast<int32_t>(p.random() % static_cast<uint64_t>(vocab));
    for (auto& r : rows) r = static_cast<int32_t>(p.random() % static_cast<uint64_t>(m));
    const auto ids = p.put(tokens), picked = p.put(rows);
    const auto x = p.room(nd * 4);
    p.run([&](int i) {
      p.side[i].device->run(p.side[i].ops().embed, type, p.at<const void>(i, table),
                            p.at<const int32_t>(i, ids), m, d, p.at<float>(i, x));
    });
    p.same_bytes(fmt::format("embed {} {}", name, d), x, nd * 4);
    const auto weight = p.put(p.normal(static_cast<size_t>(d)));
    for (const bool chosen : {false, true}) {
      const auto y = p.room(nd * 4);
      p.run([&](int i) {
        p.side[i].device->run(p.side[i].ops().rms_norm, type, p.at<const float>(i, x),
                              chosen ? p.at<const int32_t>(i, picked) : nullptr, m, d,
                              p.at<const float>(i, weight), 1e-5f, p.at(i, y));
      });
      p.near(fmt::format("rms_norm {} {}{}", name, d, chosen ? " of rows" : ""), y, nd, type,
             tolerance(type));
    }
    p.clear();
  }
  for (const int32_t absolute : {0, 1}) {
    const int64_t m = 13, n = 77;
    const auto count = static_cast<size_t>(m * n);
    const auto gate = p.put(p.normal(count, 4), type), up = p.put(p.normal(count), type);
    const auto h = p.room(count * 4);
    p.run([&](int i) {
      p.side[i].device->run(p.side[i].ops().swiglu, type, p.at<const void>(i, gate),
                            p.at<const void>(i, up), m, n, absolute, p.at(i, h));
    });
    p.near(fmt::format("swiglu {}{}", name, absolute ? " absolute" : ""), h, count, type,
           tolerance(type));
    p.clear();
  }
  {
    const int64_t m = 9, routed = 14, width = 96;
    const auto gates = p.put(p.normal(static_cast<size_t>(m * routed * width)), type);
    const auto scale = p.put(p.normal(static_cast<size_t>(routed * width)));
    const auto scores = p.room(static_cast<size_t>(m * routed) * 4);
    p.run([&](int i) {
      p.side[i].device->run(p.side[i].ops().gate_scores, type, p.at<const void>(i, gates),
                            p.at<const float>(i, scale), m, routed, width, p.at<float>(i, scores));
    });
    p.near(fmt::format("gate_scores {}", name), scores, static_cast<size_t>(m * routed), kDeviceF32,
           2e-6);
    p.clear();
  }
  check_products(p, type);
}

}  // namespace op_cases
