#include "kernels/limits.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/kernels/cases.h"

namespace {

TEST(ReadSum, ReadsEveryElementOnce) {
  kernels::ThreadPool pool(2);
  for (size_t n : {size_t{0}, size_t{1}, size_t{37}, (size_t{1} << 20) + 3}) {
    const std::vector<float> ones(n, 1.0f);
    cases::for_each_isa([&] {
      EXPECT_EQ(kernels::read_sum(ones.data(), static_cast<int64_t>(n), pool),
                static_cast<float>(n));
    });
  }
}

TEST(FmaBurst, CountsTheWorkOfEveryThread) {
  kernels::ThreadPool one(1), three(3);
  EXPECT_GT(kernels::fma_burst(one), 1e6);
  EXPECT_EQ(kernels::fma_burst(three), 3 * kernels::fma_burst(one));
}

}  // namespace
