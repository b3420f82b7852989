// The search for gadgets as a user runs it: found against a predictor of the ladder, then asked of
// other questions in a run.
#include "harness/gadget.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
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
    if (s < 2) continue;
    EXPECT_GT(up["other_k_after"], up["other_k_before"]);
    EXPECT_LT(down["other_k_after"], down["other_k_before"]);
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
                         "SELECT count(*), min(same) FROM (SELECT a.source_key, "
                         "a.correct = b.correct AS same FROM v_attempt a JOIN v_attempt b "
                         "USING(source_key) WHERE a.shift = 'clean' AND b.shift = 'gadget_up')"),
            "24\t1\n");
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

TEST_F(GadgetRun, TwoTextsAreTwoQuestionsToAnAudit) {
  const auto found = [&](const char* seed) {
    EXPECT_EQ(search({"--rounds", "1", "--candidates", "2", "--seed", seed}).code, 0);
    const std::string file = folder_.path() / (std::string("g") + seed + ".json");
    std::filesystem::rename(gadgets(), file);
    return file;
  };
  const auto swept = found("1"), other = found("2");
  ASSERT_NE(harness::read_gadgets(swept).up[0].text, harness::read_gadgets(other).up[0].text);
  const std::vector<std::string> asked = {"--shift", "gadget_up:1,neutral.gadget_up:1", "--gadget"};
  std::vector<std::string> args = {
      "sweep", "--model", "ladder", "--tasks", "ladder", "--limit", "6",         "--num-fewshot",
      "0",     "--grid",  "1,16",   "--ways",  "1",      "--db",    db("run.db")};
  args.insert(args.end(), asked.begin(), asked.end());
  args.push_back(swept);
  const auto s = moeval(args);
  ASSERT_EQ(s.code, 0) << s.err;
  for (const auto& file : {swept, other}) {
    auto more = asked;
    more.push_back(file);
    ASSERT_EQ(run(more).code, 0);
    const auto a = moeval({"audit", "--db", db("run.db"), "--format", "json"});
    ASSERT_EQ(a.code, 0) << a.err;
    const json j = json::parse(a.out);
    EXPECT_EQ(j["need_unknown"], file == swept ? 0 : 48) << file;
    // Each form is told apart by its text, and finds its control.
    const json& drift = j["tasks"][0]["shifts"][0];
    EXPECT_THAT(drift["shift"].get<std::string>(), testing::StartsWith("gadget_up:1 #"));
    EXPECT_FALSE(drift["k_drift_less_neutral"]["value"].is_null());
  }
  EXPECT_EQ(stored::rows(db("run.db"),
                         "SELECT count(*) FROM v_misallocation m JOIN query USING(query_id) "
                         "JOIN shift h USING(shift_id) WHERE h.name = 'gadget_up'"),
            "24\n");
}

TEST_F(GadgetRun, TaskShowPrintsTheQuestionBehindIt) {
  ASSERT_EQ(search({"--rounds", "1", "--candidates", "2"}).code, 0);
  const auto r = moeval({"task", "show", "ladder", "--shift", "gadget_down:2", "--gadget",
                         gadgets(), "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(json::parse(r.out)["prompt"].get<std::string>(),
              HasSubstr(harness::read_gadgets(gadgets()).down[1].text + "\n\n"));
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
  ASSERT_EQ(search({"--rounds", "1", "--candidates", "1"}).code, 0);
  auto forged = json::parse(std::ifstream(gadgets()));
  forged["up"][1]["text"] = "x\rimport os";
  r = run({"--shift", "gadget_up:1", "--gadget", write("cr.json", forged.dump())});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("cr.json: /up/1/text: byte 1 is 0x0d, want printable ASCII"));
  r = run({"--shift", "typos:1", "--gadget", gadgets()});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("no --shift uses it"));
  r = moeval({"gadget", "--predictor", predictor(), "--model", "ladder", "--tasks", "humaneval"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("runs no code"));
  r = moeval({"gadget", "--predictor", predictor(), "--model", "ladder", "--questions", "1"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("want 4 or more"));
}

}  // namespace
