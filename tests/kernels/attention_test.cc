#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "tests/kernels/cases.h"
#include "tests/kernels/reference/reference.h"

namespace {

using cases::Data;
using kernels::AttentionRow;
using kernels::AttentionShape;
using kernels::kKvBlock;

constexpr AttentionShape kShapes[] = {{1, 1, 4}, {4, 2, 16}, {9, 3, 64}, {5, 1, 20}, {2, 2, 80}};

// The keys and values [n, n_kv_heads * d_head] of one sequence and the blocks that hold them. What
// was never stored is NaN: a kernel that reads past a row's position shows it.
class Sequence {
 public:
  Sequence(const AttentionShape& shape, int64_t n, Data data, uint32_t seed,
           const Sequence* parent = nullptr, int64_t shared_blocks = 0)
      : shape_(shape), width_(shape.n_kv_heads * shape.d_head) {
    k_ = cases::activations(n * width_, data, seed);
    v_ = cases::activations(n * width_, data, seed + 1000);
    int64_t stored = 0;
    if (parent) {
      stored = shared_blocks * kKvBlock;
      std::copy_n(parent->k_.begin(), stored * width_, k_.begin());
      std::copy_n(parent->v_.begin(), stored * width_, v_.begin());
      blocks_.assign(parent->blocks_.begin(), parent->blocks_.begin() + shared_blocks);
    }
    while (static_cast<int64_t>(blocks_.size()) * kKvBlock < n) {
      owned_.push_back(std::vector<float>(static_cast<size_t>(shape.kv_block_floats()), NAN));
      blocks_.push_back(owned_.back().data());
    }
    const std::vector<AttentionRow> rows = all_rows(stored, n);
    kernels::store_kv(shape, rows.data(), n - stored, k_.data() + stored * width_,
                      v_.data() + stored * width_, width_);
  }

  AttentionRow row(int64_t position) const { return {position, blocks_.data()}; }
  std::vector<AttentionRow> all_rows(int64_t first, int64_t n) const {
    std::vector<AttentionRow> rows;
    for (int64_t p = first; p < n; ++p) rows.push_back(row(p));
    return rows;
  }
  // One KV head as [n, d_head].
  std::vector<float> head(const std::vector<float>& kv, int64_t h, int64_t n) const {
    std::vector<float> out;
    for (int64_t p = 0; p < n; ++p) {
      const auto from = kv.begin() + p * width_ + h * shape_.d_head;
      out.insert(out.end(), from, from + shape_.d_head);
    }
    return out;
  }
  const std::vector<float>& k() const { return k_; }
  const std::vector<float>& v() const { return v_; }

 private:
  AttentionShape shape_;
  int64_t width_;
  std::vector<float> k_, v_;
  std::vector<std::vector<float>> owned_;
  std::vector<float*> blocks_;
};

std::vector<float> attend(const AttentionShape& shape, const std::vector<float>& q,
                          const std::vector<AttentionRow>& rows, kernels::ThreadPool& pool) {
  const int64_t stride = shape.n_heads * shape.d_head;
  std::vector<float> out(rows.size() * static_cast<size_t>(stride), 5.0f);
  kernels::attention(shape, q.data(), stride, rows.data(), static_cast<int64_t>(rows.size()),
                     out.data(), stride, pool);
  return out;
}

// Scores carry an error of at most e = (d + 3) * 2^-24 * largest; weights one of 2e plus that of
// the exponential and of the sums, relative to their size; the output at most that times the
// values.
void expect_near_reference(const AttentionShape& shape, const Sequence& sequence,
                           const std::vector<float>& q, const std::vector<float>& out, int64_t n) {
  const int64_t stride = shape.n_heads * shape.d_head;
  for (int64_t h = 0; h < shape.n_heads; ++h) {
    const int64_t kv = h / (shape.n_heads / shape.n_kv_heads);
    const auto k = sequence.head(sequence.k(), kv, n), v = sequence.head(sequence.v(), kv, n);
    for (int64_t p = 0; p < n; p += p < 3 ? 1 : 29) {
      const int64_t at = p * stride + h * shape.d_head;
      const auto expected = reference::attention(q.data() + at, k, v, p + 1, shape.d_head);
      const double score_error =
          static_cast<double>(shape.d_head + 3) * 0x1p-24 * expected.largest_score;
      const double bound =
          (std::expm1(2 * score_error) + static_cast<double>(2 * p + 10) * 0x1p-24) *
          expected.largest_value;
      for (int64_t d = 0; d < shape.d_head; ++d) {
        ASSERT_NEAR(static_cast<double>(out[static_cast<size_t>(at + d)]),
                    expected.out[static_cast<size_t>(d)], bound)
            << "head " << h << " position " << p << " element " << d;
      }
    }
  }
}

TEST(Attention, AgreesWithTheReferenceForEveryShapeContextAndInstructionSet) {
  kernels::ThreadPool pool(2);
  for (const AttentionShape& shape : kShapes) {
    for (int64_t n : {1, 2, 63, 64, 65, 200}) {
      for (Data data : {Data::plain, Data::ties, Data::denormal}) {
        SCOPED_TRACE(testing::Message()
                     << shape.n_heads << '/' << shape.n_kv_heads << " heads of " << shape.d_head
                     << ", context " << n << ", data " << static_cast<int>(data));
        const Sequence sequence(shape, n, data, static_cast<uint32_t>(n));
        const auto q = cases::activations(n * shape.n_heads * shape.d_head, data, 77);
        cases::for_each_isa([&] {
          const auto out = attend(shape, q, sequence.all_rows(0, n), pool);
          expect_near_reference(shape, sequence, q, out, n);
        });
      }
    }
  }
}

TEST(Attention, GivesARowTheSameBitsAloneAndInAnySplitOnAnyNumberOfThreads) {
  kernels::ThreadPool one(1), three(3);
  for (const AttentionShape& shape : kShapes) {
    SCOPED_TRACE(shape.d_head);
    const int64_t n = 150, stride = shape.n_heads * shape.d_head;
    const Sequence sequence(shape, n, Data::plain, 5);
    const auto q = cases::activations(n * stride, Data::plain, 6);
    cases::for_each_isa([&] {
      const auto together = attend(shape, q, sequence.all_rows(0, n), three);
      for (int64_t split : {1, 3, 64, 100}) {
        std::vector<float> parts;
        for (int64_t first = 0; first < n; first += split) {
          const int64_t end = std::min(n, first + split);
          const std::vector<float> some(q.begin() + first * stride, q.begin() + end * stride);
          const auto part = attend(shape, some, sequence.all_rows(first, end), one);
          parts.insert(parts.end(), part.begin(), part.end());
        }
        EXPECT_TRUE(cases::same_bits(together, parts)) << "split " << split;
      }
    });
  }
}

TEST(Attention, GivesForksOfAPrefixTheBitsOfSequencesThatShareNothing) {
  kernels::ThreadPool pool(2);
  const AttentionShape shape{9, 3, 64};
  const int64_t stride = shape.n_heads * shape.d_head;
  const Sequence prefix(shape, 128, Data::plain, 1);
  std::vector<std::unique_ptr<Sequence>> forks, copies;
  std::vector<AttentionRow> rows, apart;
  for (uint32_t f = 0; f < 5; ++f) {
    const int64_t n = 129 + 9 * f;
    forks.push_back(std::make_unique<Sequence>(shape, n, Data::plain, 50 + f, &prefix, 2));
    // A copy holds the same keys and values in blocks of its own.
    copies.push_back(std::make_unique<Sequence>(shape, n, Data::plain, 50 + f));
    kernels::store_kv(shape, copies.back()->all_rows(0, n).data(), n, forks.back()->k().data(),
                      forks.back()->v().data(), shape.n_kv_heads * shape.d_head);
    for (int64_t back = 3; back >= 1; --back) {
      rows.push_back(forks.back()->row(n - back));
      apart.push_back(copies.back()->row(n - back));
    }
  }
  const auto q = cases::activations(static_cast<int64_t>(rows.size()) * stride, Data::plain, 3);
  cases::for_each_isa([&] {
    std::vector<float> alone;  // one call per row: nothing to share, nothing to confuse
    for (size_t r = 0; r < apart.size(); ++r) {
      const auto from = q.begin() + static_cast<int64_t>(r) * stride;
      const auto out = attend(shape, {from, from + stride}, {apart[r]}, pool);
      alone.insert(alone.end(), out.begin(), out.end());
    }
    EXPECT_TRUE(cases::same_bits(attend(shape, q, rows, pool), alone));
  });
}

TEST(Attention, PicksTheValueOfAKeyThatStandsOut) {
  kernels::ThreadPool pool(1);
  const AttentionShape shape{2, 1, 8};
  const int64_t n = 100, stride = 16;
  const Sequence sequence(shape, n, Data::plain, 4);
  // A query along key 70 and 1e4 times as long: every other weight is 0 in fp32.
  std::vector<float> k = sequence.k();
  for (int64_t d = 0; d < 8; ++d) k[static_cast<size_t>(70 * 8 + d)] = d % 2 ? -3.0f : 3.0f;
  const auto rows = sequence.all_rows(0, n);
  kernels::store_kv(shape, rows.data(), n, k.data(), sequence.v().data(), 8);
  std::vector<float> q(static_cast<size_t>(stride));
  for (size_t i = 0; i < q.size(); ++i) q[i] = i % 2 ? -1e4f : 1e4f;
  cases::for_each_isa([&] {
    const auto out = attend(shape, q, {sequence.row(n - 1)}, pool);
    for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], sequence.v()[70 * 8 + i % 8]);
  });
}

TEST(Attention, PropagatesANanScoreToItsOwnRowOnly) {
  kernels::ThreadPool pool(1);
  const AttentionShape shape{1, 1, 16};
  const Sequence sequence(shape, 40, Data::plain, 4);
  auto q = cases::activations(40 * 16, Data::plain, 2);
  q[7 * 16 + 3] = NAN;
  cases::for_each_isa([&] {
    const auto out = attend(shape, q, sequence.all_rows(0, 40), pool);
    for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i / 16 == 7) << i;
  });
}

TEST(StoreKv, TransposesKeysAndKeepsValuesByPosition) {
  const AttentionShape shape{4, 2, 3};
  const Sequence sequence(shape, 66, Data::plain, 9);
  const float* block = sequence.row(65).blocks[1];
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t d = 0; d < 3; ++d) {
      const auto at = static_cast<size_t>(65 * 6 + h * 3 + d);
      EXPECT_EQ(block[(h * 3 + d) * kKvBlock + 1], sequence.k()[at]);
      EXPECT_EQ(block[(2 + h) * 3 * kKvBlock + 1 * 3 + d], sequence.v()[at]);
    }
  }
  EXPECT_TRUE(std::isnan(block[2])) << "position 66 was never stored";
}

TEST(AttentionCost, IsFourFlopsPerHeadElementAndVisiblePosition) {
  EXPECT_EQ(kernels::attention_cost({9, 3, 64}, 700), (kernels::Cost{4 * 9 * 64 * 700, 0}));
}

TEST(AttentionCost, IsWhatTheLaunchCounterGrowsBy) {
  kernels::ThreadPool pool(2);
  const AttentionShape shape{4, 2, 16};
  const Sequence sequence(shape, 70, Data::plain, 1);
  const auto q = cases::activations(70 * 64, Data::plain, 2);
  attend(shape, q, sequence.all_rows(0, 70), pool);
  kernels::Cost expected;
  for (int64_t n = 1; n <= 70; ++n) expected += kernels::attention_cost(shape, n);
  EXPECT_EQ(pool.launched(kernels::OpKind::attention), expected);
  EXPECT_EQ(pool.launched(kernels::OpKind::matmul), kernels::Cost{});
}

}  // namespace
