#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <string>

namespace {

TEST(Isa, UsesTheBestOneUnlessAnotherIsForced) {
  const auto names = kernels::available_isas();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "portable");
  EXPECT_EQ(kernels::isa(), names.front());
  for (std::string_view name : names) {
    EXPECT_TRUE(kernels::force_isa(name));
    EXPECT_EQ(kernels::isa(), name);
    EXPECT_EQ(kernels::available_isas(), names) << "forcing one must not hide the others";
    EXPECT_EQ(kernels::isa(), name) << "asking must not change it";
  }
  EXPECT_FALSE(kernels::force_isa("mmx"));
  EXPECT_EQ(kernels::isa(), "portable");
  EXPECT_TRUE(kernels::force_isa(""));
  EXPECT_EQ(kernels::isa(), names.front());
}

}  // namespace
