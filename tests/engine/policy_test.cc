// Policies: what may be written after --policy, files of another model, tables that miss a query.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "engine/model_file_error.h"
#include "engine/policy/latency_cap.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/policy_spec.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace engine;
using testing::AllOf;
using testing::HasSubstr;

const std::string kSha(64, 'a');

PolicyContext moe_model() {
  PolicyContext c;
  c.moe.n_experts = 16;
  c.moe.n_shared = 2;
  c.moe.trained_k = 6;
  c.n_layers = 3;
  c.d_model = 4;
  c.weights_sha256 = kSha;
  c.sha256 = [](std::string_view bytes) { return "hash of " + std::to_string(bytes.size()); };
  return c;
}

PolicyContext dense_model() {
  PolicyContext c = moe_model();
  c.moe = {};
  return c;
}

ExpertBudget budget(const std::string& text, const PolicyContext& c = moe_model()) {
  return make_policy(parse_policy(text), c)->decide({}).budget;
}

template <class Error>
std::string refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}
std::string refused_text(const std::string& text, const PolicyContext& c = moe_model()) {
  return refused<PolicyError>([&] { budget(text, c); });
}

TEST(PolicySpec, WritesBudgets) {
  EXPECT_EQ(budget("fixed:4").key(), "k=4");
  EXPECT_EQ(budget("trained").key(), "k=6");
  EXPECT_EQ(budget("trained", dense_model()).key(), "k=1");
  EXPECT_EQ(budget("fixed:1", dense_model()).key(), "k=1");
  EXPECT_EQ(budget("top_p:0.5").key(), "k=16;top_p=0.5");
  EXPECT_EQ(budget("top_p:0.5,8").key(), "k=8;top_p=0.5");
  EXPECT_EQ(budget("threshold:0.1,3").key(), "k=3;threshold=0.1");
  EXPECT_EQ(budget("entropy:1,14").key(), "k=16;entropy=1+14");
  EXPECT_EQ(budget("entropy:1,14,12").key(), "k=12;entropy=1+14");
  EXPECT_EQ(budget("layers:2,4,9").key(), "k=5;layers=2,4,9");
}

TEST(PolicySpec, KeepsWhatWasWrittenAndTellsPoliciesApart) {
  const auto make = [](const char* text) { return make_policy(parse_policy(text), moe_model()); };
  EXPECT_EQ(make("top_p:0.50")->label(), "top_p:0.50");
  EXPECT_EQ(make("top_p:0.50")->kind(), "top_p");
  EXPECT_NE(make("fixed:4")->config_json(), make("fixed:5")->config_json());
  EXPECT_EQ(make("top_p:0.50")->config_json(), make("top_p:0.5")->config_json());
}

TEST(PolicySpec, RefusesWhatItDoesNotKnowWithTheNearestForm) {
  EXPECT_THAT(refused_text("fixd:4"),
              AllOf(HasSubstr("policy 'fixd:4': unknown"), HasSubstr("(nearest: fixed:K)")));
  EXPECT_THAT(refused_text("oracle"),
              AllOf(HasSubstr("want one of trained"), HasSubstr("table:FILE"),
                    testing::Not(HasSubstr("nearest"))));
  EXPECT_THAT(refused_text(""), HasSubstr("unknown"));
  EXPECT_THAT(refused_text("\n"), testing::Not(HasSubstr("\n")));
  for (const char* wrong : {"fixed",     "fixed:",          "fixed:x",           "fixed:0",
                            "fixed:-1",  "fixed:1.5",       "fixed:1,2",         "fixed:17",
                            "fixed:4 ",  "fixed:nan",       "fixed:99999999999", "top_p:0",
                            "top_p:1.1", "top_p:0.5,0",     "top_p:0.5,4,4",     "threshold:-1",
                            "entropy:1", "entropy:1,2,3,4", "trained:4",         "predictor:",
                            "table",     "layers:"})
    EXPECT_THAT(refused_text(wrong), HasSubstr("want")) << wrong;
}

TEST(PolicySpec, NamesTheEntryThatIsNoNumber) {
  EXPECT_EQ(refused_text("layers:1,x"),
            "policy 'layers:1,x': 'x' is no number, want layers:K0,K1,...|FILE");
  EXPECT_THAT(refused_text("layers:1,2,"), HasSubstr("'' is no number"));
  EXPECT_THAT(refused_text("layers:1,,3"), HasSubstr("'' is no number"));
  EXPECT_THAT(refused_text("layers:1,2.5,3"), HasSubstr("2.5 experts in a layer"));
  EXPECT_THAT(refused_text("entropy:1,two"), HasSubstr("'two' is no number"));
  // What is no list is a file.
  for (const char* file : {"layers:my.json", "layers:a,b.json", "layers:./1,2.json"})
    EXPECT_THAT(refused<ModelFileError>([&] { budget(file); }), HasSubstr("cannot be opened"))
        << file;
}

TEST(PolicySpec, RefusesWhatTheModelCannotRun) {
  PolicyContext eight = moe_model();
  eight.moe.n_experts = 8;
  EXPECT_EQ(refused_text("fixed:9", eight),
            "policy fixed:9: budget of 9 experts, this model runs 1 to 8");
  EXPECT_EQ(refused_text("fixed:2", dense_model()),
            "policy fixed:2: budget of 2 experts, this model runs 1 to 1");
  EXPECT_THAT(refused_text("top_p:0.5", dense_model()), HasSubstr("a dense model"));
  EXPECT_EQ(refused_text("layers:1,2"),
            "policy layers:1,2: budget names 2 layers, this model has 3");
  EXPECT_THAT(refused_text("layers:1,2,17"), HasSubstr("17 experts in a layer"));
}

class PolicyFiles : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
    return folder_.path() / name;
  }
  std::shared_ptr<const ExpertPolicy> load(const std::string& text) const {
    return make_policy(parse_policy("table:" + write("t.json", text).string()), moe_model());
  }
  std::string table(const std::string& k, const std::string& sha = kSha) const {
    return R"({"format": "moeval_table/1", "model_sha256": ")" + sha + R"(", "k": )" + k + "}";
  }
  support::TempFolder folder_;
};

TEST_F(PolicyFiles, ATableAnswersByTheMostSpecificKey) {
  const auto p = load(table(R"({"a:s/1@order/2": 5, "a:s/1": 4, "s/1@order/1": 3, "s/1": 2,
                               "s/2": 16})"));
  const auto k = [&](const char* key) { return p->decide({.key = key}).budget.k; };
  EXPECT_EQ(k("a:s/1@order/2"), 5);
  EXPECT_EQ(k("a:s/1@order/1"), 4);  // the task is nearer than the shift
  EXPECT_EQ(k("a:s/1"), 4);
  EXPECT_EQ(k("b:s/1@order/1"), 3);
  EXPECT_EQ(k("b:s/1@order/3"), 2);
  EXPECT_EQ(k("b:s/1"), 2);
  EXPECT_EQ(k("a:s/2@x/1"), 16);
  EXPECT_EQ(p->kind(), "table");
  EXPECT_THAT(refused<PolicyError>([&] { k("a:s/3@order/1"); }),
              AllOf(HasSubstr("t.json"), HasSubstr("a:s/3@order/1")));
}

TEST_F(PolicyFiles, AnIdMayHoldAnAt) {
  const auto p = load(table(R"({"t:mail@x.org/1": 5, "mail@x": 4, "@handle/a1": 3, "a@b/1": 2})"));
  const auto k = [&](const char* key) { return p->decide({.key = key}).budget.k; };
  EXPECT_EQ(k("t:mail@x.org/1"), 5);
  EXPECT_EQ(k("t:mail@x.org/1@option_order/2"), 5);
  EXPECT_EQ(k("t:mail@x.org/1@neutral.padding/1"), 5);
  EXPECT_EQ(k("t:mail@x"), 4);
  EXPECT_EQ(k("t:@handle/a1@wording/1"), 3);
  EXPECT_EQ(k("t:a@b/1"), 2);
  EXPECT_EQ(k("t:a@b/1@wording/12"), 2);
  // No other ending is a shift: these are other samples.
  for (const char* key : {"t:mail@x.org/2", "t:mail", "t:mail@x@", "t:mail@x@y", "t:mail@x@/1",
                          "t:mail@x@y/", "t:mail@x@y/1a", "t:mail@x@Y/1"})
    EXPECT_THAT(refused<PolicyError>([&] { k(key); }), HasSubstr(key));
}

TEST_F(PolicyFiles, ATableOfAnotherModelIsRefusedWithBothNames) {
  const std::string other(64, 'b');
  EXPECT_THAT(refused<PolicyMismatch>([&] { load(table("{}", other)); }),
              AllOf(HasSubstr(other), HasSubstr(kSha)));
}

TEST_F(PolicyFiles, AWrongTableIsRefusedWithItsPlace) {
  const auto why = [&](const std::string& text) {
    return refused<ModelFileError>([&] { load(text); });
  };
  EXPECT_THAT(why(table(R"({"s/1": 17})")),
              AllOf(HasSubstr("'s/1'"), HasSubstr("17"), HasSubstr("16")));
  for (const char* k : {R"({"s": 0})", R"({"s": -1})", R"({"s": 1.0})", R"({"s": "4"})",
                        R"({"s": null})", R"({"s": 18446744073709551615})"})
    EXPECT_THAT(why(table(k)), HasSubstr("k of 's' is")) << k;
  EXPECT_THAT(why(table(R"({"s": 1, "s": 2})")), HasSubstr("duplicate JSON key 's'"));
  EXPECT_THAT(why(table("[]")), HasSubstr("want an object"));
  EXPECT_THAT(why("{}"), HasSubstr("format"));
  EXPECT_THAT(why(R"({"format": "x"})"), HasSubstr("want moeval_table/1"));
  EXPECT_THAT(why(R"({"format": "moeval_table/1", "model_sha": "x"})"),
              HasSubstr("unknown key 'model_sha', nearest: model_sha256; known: format, "));
  EXPECT_THAT(why(R"({"format": "moeval_table/1", "ks": null})"), HasSubstr("nearest: k;"));
  EXPECT_THAT(why("{"), HasSubstr("not valid JSON: it ends too early, after 1 bytes"));
  EXPECT_THAT(why("{}}"), HasSubstr("not valid JSON at byte 3 of 3"));
  EXPECT_THAT(why("[1, 2"), HasSubstr("after 5 bytes"));
  EXPECT_THAT(refused<ModelFileError>([&] { budget("table:/nowhere/t.json"); }),
              HasSubstr("/nowhere/t.json"));
}

TEST_F(PolicyFiles, LayersComeFromAFileToo) {
  EXPECT_EQ(budget("layers:" + write("l.json", "[1, 2, 6]").string()).key(), "k=3;layers=1,2,6");
  EXPECT_THAT(
      refused<ModelFileError>([&] { budget("layers:" + write("l.json", "[1.5]").string()); }),
      HasSubstr("whole numbers"));
}

class LatencyCaps : public PolicyFiles {
 protected:
  LatencyCoefficients coefficients(const std::string& prefill = R"({"1": 1, "16": 16})",
                                   const std::string& decode = R"({"1": 2, "5": 10, "16": 21})",
                                   const std::string& sha = kSha) const {
    return LatencyCoefficients::load(
        write("c.json", R"({"format": "moeval_latency/1", "model_sha256": ")" + sha +
                            R"(", "prefill_ms_per_token": )" + prefill +
                            R"(, "decode_ms_per_token": )" + decode + "}"),
        moe_model());
  }
  Decision decide(const std::string& policy, double cap_ms, int64_t prompt, int64_t new_tokens) {
    const LatencyCap cap(make_policy(parse_policy(policy), moe_model()), cap_ms, coefficients());
    return cap.decide({.prompt_tokens = prompt, .max_new_tokens = new_tokens});
  }
};

TEST_F(LatencyCaps, CoefficientsBetweenTheNamedKAreLinear) {
  const auto c = coefficients();
  EXPECT_DOUBLE_EQ(c.predicted_ms(4, 10, 0), 40);
  EXPECT_DOUBLE_EQ(c.predicted_ms(3, 10, 100), 30 + 600);
  EXPECT_DOUBLE_EQ(c.predicted_ms(6, 0, 10), 110);
  EXPECT_DOUBLE_EQ(c.predicted_ms(16, 1, 1), 37);
}

TEST_F(LatencyCaps, RunsTheLargestKThatFitsAndRemembersTheOneItWouldHaveHad) {
  auto d = decide("fixed:12", 100, 10, 0);  // k costs 10 k ms
  EXPECT_EQ(d.budget.k, 10);
  EXPECT_TRUE(d.capped);
  EXPECT_EQ(d.k_uncapped, 12);
  d = decide("fixed:10", 100, 10, 0);
  EXPECT_EQ(d.budget.k, 10);
  EXPECT_FALSE(d.capped);
  EXPECT_EQ(d.k_uncapped, 10);
  d = decide("fixed:12", 100, 10, 30);  // k = 1 takes 10 + 60 ms, k = 2 20 + 120
  EXPECT_EQ(d.budget.k, 1);
  d = decide("fixed:12", 5, 10, 0);  // not even k = 1
  EXPECT_EQ(d.budget.k, 1);
  EXPECT_TRUE(d.capped);
  EXPECT_EQ(d.k_uncapped, 12);
  d = decide("fixed:1", 5, 10, 0);
  EXPECT_TRUE(d.capped);
}

TEST_F(LatencyCaps, KeepsSelectorsAndLowersLayers) {
  auto d = decide("top_p:0.5", 50, 10, 0);
  EXPECT_EQ(d.budget.key(), "k=5;top_p=0.5");
  d = decide("layers:1,16,16", 70, 10, 0);  // mean 11
  EXPECT_EQ(d.budget.key(), "k=7;layers=1,10,10");
  EXPECT_EQ(d.k_uncapped, 11);
}

TEST_F(LatencyCaps, WrongCoefficientsAreRefused) {
  const auto why = [&](const std::string& prefill) {
    return refused<ModelFileError>([&] { coefficients(prefill); });
  };
  EXPECT_THAT(why(R"({"1": 1})"), HasSubstr("does not name k = 16"));
  EXPECT_THAT(why(R"({"1": 1, "16": 1}, "prefil_ms_per_token": {})"),
              HasSubstr("unknown key 'prefil_ms_per_token', nearest: prefill_ms_per_token"));
  EXPECT_THAT(why(R"({"1": 1, "17": 1})"), HasSubstr("'17'"));
  EXPECT_THAT(why(R"({"1": 1, "01": 1, "16": 1})"), HasSubstr("twice"));
  EXPECT_THAT(why(R"({"1": -1, "16": 1})"), HasSubstr("-1"));
  EXPECT_THAT(why(R"({"1": "x", "16": 1})"), HasSubstr("milliseconds"));
  EXPECT_THAT(refused<PolicyMismatch>([&] { coefficients("{}", "{}", std::string(64, 'b')); }),
              HasSubstr("bbb"));
  EXPECT_THAT(refused<PolicyError>([&] { decide("fixed:1", 0, 1, 1); }), HasSubstr("cap of 0"));
}

}  // namespace
