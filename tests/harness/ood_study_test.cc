// The study of unlike questions as a user asks for it: a sweep of the ladder with shifts, and what
// `train --ood` makes of it.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/harness/policy_run_fixture.h"

namespace {

using nlohmann::json;
using testing::HasSubstr;

class OodStudyRun : public PolicyRunTest {
 protected:
  void sweep(const std::vector<std::string>& more) const {
    std::vector<std::string> args = {"sweep",  "--model",  "ladder",  "--tasks", "ladder_train",
                                     "--grid", "1,4,8,16", "--limit", "20",      "--num-fewshot",
                                     "0",      "--ways",   "1",       "--db",    db("sweep.db")};
    args.insert(args.end(), more.begin(), more.end());
    const auto r = moeval(args);
    ASSERT_EQ(r.code, 0) << r.err;
  }
  program::Result train(const std::vector<std::string>& more) const {
    std::vector<std::string> args = {
        "train", "--db", db("sweep.db"), "--out", folder_.path() / "p.safetensors", "--ood"};
    args.insert(args.end(), more.begin(), more.end());
    return moeval(args);
  }
};

TEST_F(OodStudyRun, RecognisesWhatIsUnlikeAndNotWhatIsTheSame) {
  // Other symbols change no byte of the question that a predictor sees; a polite request does.
  sweep({"--shift", "option_symbols:1,template:1"});
  const auto r = train({"--format", "json", "--lambda", "0.5"});
  ASSERT_EQ(r.code, 0) << r.err;
  const json j = json::parse(r.out)["ood"];
  EXPECT_EQ(j["clean"], 80);
  EXPECT_EQ(j["left_out"], 0);
  ASSERT_EQ(j["shifts"].size(), 2u);
  const json &symbols = j["shifts"][0], &request = j["shifts"][1];
  ASSERT_EQ(symbols["shift"], "option_symbols:1");
  EXPECT_EQ(symbols["n"], symbols["seed_items"]);
  for (const char* detector : {"mahalanobis", "nearest"})
    EXPECT_EQ(symbols["detectors"][detector]["auroc"]["value"], 0.5) << detector;
  const json& found = request["detectors"]["mahalanobis"];
  EXPECT_GT(found["auroc"]["value"], 0.75);
  EXPECT_GT(found["auroc"]["interval"][0], 0.5);
  EXPECT_GT(found["flagged"], symbols["detectors"]["mahalanobis"]["flagged"]);
  EXPECT_LT(found["fpr95"], symbols["detectors"]["mahalanobis"]["fpr95"]);
  // None first; each of the four others by each detector, none of them dearer.
  ASSERT_EQ(j["fallbacks"].size(), 9u);
  const json& none = j["fallbacks"][0];
  EXPECT_EQ(none["fallback"], "none");
  EXPECT_EQ(none["lambda"], 0.5);
  for (const auto& f : j["fallbacks"]) {
    if (!f["cost_matched"]) continue;
    EXPECT_LE(f["flops_ratio"], none["flops_ratio"]) << f;
    EXPECT_NEAR(f["regret_saved"]["value"],
                (none["regret_clean"].get<double>() - f["regret_clean"].get<double>() +
                 none["regret_shifted"].get<double>() - f["regret_shifted"].get<double>()) /
                    2,
                1e-12);
  }
  const auto page = train({"--lambda", "0.5"});
  EXPECT_THAT(page.out, HasSubstr("Out of distribution: 80 clean"));
  EXPECT_THAT(page.out, HasSubstr("template:1"));
}

TEST_F(OodStudyRun, QuestionsThatNoKAnsweredAreLeftOutAndCounted) {
  sweep({"--shift", "padding:3,template:1"});  // pages that the ladder's context does not hold
  const auto r = train({});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("80 shifted questions are not graded at every k and left out"));
}

TEST_F(OodStudyRun, ASweepWithoutShiftsIsRefused) {
  sweep({});
  const auto r = train({});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("no shifted questions"));
}

}  // namespace
