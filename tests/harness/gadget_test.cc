// The search for gadgets as a user runs it: found against a predictor of the ladder, then asked of
// other questions in a run.
#include "harness/gadget.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tasks/strict_json.h"
#include "tests/harness/policy_run_fixture.h"

namespace {

using nlohmann::json;
using testing::HasSubstr;

class GadgetRun : public PolicyRunTest {
 protected:
  void SetUp() override {
    PolicyRunTest::SetUp();
    const auto swept =
        moeval({"sweep", "--model", "ladder", "--tasks", "ladder_train", "--grid", "1,4,8,16",
                "--limit", "12", "--num-fewshot", "0", "--ways", "1", "--db", db("sweep.db")});
    ASSERT_EQ(swept.code, 0) << swept.err;
    const auto trained =
        moeval({"train", "--db", db("sweep.db"), "--out", predictor(), "--lambda", "0.5"});
    ASSERT_EQ(trained.code, 0) << trained.err;
  }
  std::string predictor() const { return folder_.path() / "p.safetensors"; }
  std::string gadgets() const { return folder_.path() / "g.json"; }
  program::Result search(const std::vector<std::string>& more) const {
    std::vector<std::string> args = {"gadget",  "--predictor", predictor(),   "--model", "ladder",
                                     "--tasks", "ladder",      "--questions", "12",      "--out",
                                     gadgets(), "--format",    "json"};
    args.insert(args.end(), more.begin(), more.end());
    return moeval(args);
  }
  program::Result run(const std::vector<std::string>& more) const {
    std::vector<std::string> args = {"run",
                                     "--model",
                                     "ladder",
                                     "--tasks",
                                     "ladder",
                                     "--limit",
                                     "6",
                                     "--num-fewshot",
                                     "0",
                                     "--policy",
                                     "predictor:" + predictor(),
                                     "--db",
                                     db("run.db")};
    args.insert(args.end(), more.begin(), more.end());
    return moeval(args);
  }
  double mean_k(const std::string& shift) const {
    return std::stod(stored::rows(
        db("run.db"), "SELECT avg(k_mean) FROM v_attempt WHERE shift = '" + shift + "'"));
  }
};

TEST_F(GadgetRun, MovesThePredictorOnQuestionsThatItWasNotSearchedOn) {
  const auto found = search({});
  ASSERT_EQ(found.code, 0) << found.err;
  const json j = json::parse(found.out);
  for (int s = 0; s < 3; ++s) {
    const json &up = j["up"][s], &down = j["down"][s];
    EXPECT_GT(up["k_after"], up["k_before"]) << up;
    EXPECT_LT(down["k_after"], down["k_before"]) << down;
    EXPECT_GT(up["other_k_after"], down["other_k_after"]);
  }
  const auto asked =
      run({"--shift", "gadget_up:3,gadget_down:3,neutral.gadget_up:3", "--gadget", gadgets()});
  ASSERT_EQ(asked.code, 0) << asked.err;
  EXPECT_GT(mean_k("gadget_up"), mean_k("clean"));
  EXPECT_LT(mean_k("gadget_down"), mean_k("clean"));
  // The words mean nothing to the model: with every expert it answers as before.
  const auto fixed = moeval({"run", "--model", "ladder", "--tasks", "ladder", "--limit", "6",
                             "--num-fewshot", "0", "--policy", "fixed:16", "--shift", "gadget_up:3",
                             "--gadget", gadgets(), "--db", db("fixed.db")});
  ASSERT_EQ(fixed.code, 0) << fixed.err;
  EXPECT_EQ(stored::rows(db("fixed.db"),
                         "SELECT count(DISTINCT correct_clean) FROM (SELECT a.source_key, "
                         "a.correct = b.correct AS correct_clean FROM v_attempt a JOIN v_attempt b "
                         "USING(source_key) WHERE a.shift = 'clean' AND b.shift = 'gadget_up')"),
            "1\n");
  // Marked again from the store alone: the text is on record.
  const auto again = moeval({"rescore", "--run", "latest", "--db", db("run.db")});
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(GadgetRun, TheSameSeedFindsTheSameText) {
  const std::vector<std::string> quick = {"--rounds", "1", "--candidates", "3"};
  const auto a = search(quick), b = search(quick);
  ASSERT_EQ(a.code, 0) << a.err;
  EXPECT_EQ(a.out, b.out);
  const auto g = harness::read_gadgets(gadgets());
  EXPECT_EQ(harness::gadgets_json(g), a.out);
}

TEST_F(GadgetRun, BadInputIsSaidInWords) {
  auto r = run({"--shift", "gadget_up:1"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("wants --gadget FILE"));
  r = run({"--gadget", gadgets()});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("want --shift too"));
  r = run({"--shift", "gadget_up:1", "--gadget", write("no.json", "{\"up\": []}")});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("no.json: has no moeval_gadgets"));
  r = moeval({"gadget", "--predictor", predictor(), "--model", "ladder", "--questions", "1"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("want 4 or more"));
}

}  // namespace
