// `moeval inspect` through the whole program.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/harness/run_fixture.h"

namespace {

using testing::HasSubstr;

class InspectCommand : public RunTest {
 protected:
  std::string top(const std::vector<std::string>& more) const {
    std::vector<std::string> args{"inspect", "logits", "--model", moe(), "--ids", "3,1,4,1,5"};
    args.insert(args.end(), more.begin(), more.end());
    const auto r = moeval(args);
    EXPECT_EQ(r.code, 0) << r.err;
    return nlohmann::json::parse(r.out)["top"].dump();
  }
};

TEST_F(InspectCommand, LogitsAreOfTheKAskedFor) {
  EXPECT_NE(top({"--k", "1"}), top({"--k", "16"}));
  EXPECT_EQ(top({"--k", "4"}), top({}));  // the trained one
  for (const std::string k : {"17", "-1"}) {
    const auto r = moeval({"inspect", "logits", "--model", moe(), "--ids", "1", "--k", k});
    EXPECT_EQ(r.code, 2);
    EXPECT_THAT(r.err, HasSubstr("--k " + k + ": this model runs 1 to 16"));
  }
}

}  // namespace
