// Predictors against NumPy, and files that are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/model_file_error.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/predictor_policy.h"
#include "engine/policy/predictor_writer.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace engine;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kD = 8;
const std::filesystem::path kGolden =
    std::filesystem::path(MOEVAL_SOURCE_DIR) / "tests/engine/golden/predictor";

PolicyContext context() {
  PolicyContext c;
  c.moe.n_experts = 8;
  c.n_layers = 2;
  c.d_model = kD;
  for (int i = 0; i < 32; ++i) c.weights_sha256 += "ab";
  // As in make_predictors.py.
  c.embedding_row = [](TokenId token, float* row) {
    for (int64_t i = 0; i < kD; ++i)
      row[i] = static_cast<float>((token * 37 + i * 11) % 64 - 32) / 16.0f;
  };
  c.sha256 = [](std::string_view) { return std::string("hash"); };
  return c;
}

std::vector<TokenId> tokens_of(const std::string& text) {
  std::vector<TokenId> out;
  for (const char c : text) out.push_back(static_cast<unsigned char>(c) % 97);
  return out;
}

json expected() {
  std::ifstream in(kGolden / "expected.json");
  return json::parse(in);
}

TEST(Predictor, FeaturesAreNumPys) {
  const auto want = expected();
  std::vector<Feature> all;
  for (const auto name : feature_names()) all.push_back(*find_feature(name));
  for (size_t i = 0; i < want["questions"].size(); ++i) {
    const auto question = want["questions"][i].get<std::string>();
    const auto tokens = tokens_of(question);
    const auto f = question_features(all, {.question = question, .question_tokens = tokens}, kD,
                                     context().embedding_row);
    const auto& expect = want["features"][i];
    ASSERT_EQ(f.size(), expect.size());
    for (size_t j = 0; j < f.size(); ++j)
      EXPECT_NEAR(f[j], expect[j].get<double>(), 1e-5) << question << " " << j;
  }
}

TEST(Predictor, DecisionsAreNumPys) {
  const auto want = expected();
  for (const std::string name : {"ordinal", "free", "logits"}) {
    const auto p = PredictorPolicy::load(kGolden / (name + ".safetensors"), name, context());
    std::set<int32_t> seen;
    for (size_t i = 0; i < want["questions"].size(); ++i) {
      const auto question = want["questions"][i].get<std::string>();
      const auto tokens = tokens_of(question);
      const auto d = p->decide({.question = question, .question_tokens = tokens});
      const auto& expect = want["answers"][name][i];
      EXPECT_EQ(d.budget.k, expect["k"]) << name << " " << question;
      EXPECT_NEAR(*d.complexity, expect["complexity"].get<double>(), 1e-5) << name;
      ASSERT_EQ(d.p_correct_by_k.size(), expect["p_k"].size()) << name;
      for (size_t j = 0; j < d.p_correct_by_k.size(); ++j)
        EXPECT_NEAR(d.p_correct_by_k[j].second, expect["p_k"][j].get<double>(), 1e-6) << name;
      if (name == "ordinal") {
        for (size_t j = 1; j < d.p_correct_by_k.size(); ++j)
          EXPECT_GE(d.p_correct_by_k[j].second, d.p_correct_by_k[j - 1].second);
      }
      seen.insert(d.budget.k);
    }
    EXPECT_GT(seen.size(), 1u) << name << " decides always the same: this shows little";
  }
}

TEST(Predictor, ItsCostIsCountedFromItsShapes) {
  const auto p = PredictorPolicy::load(kGolden / "ordinal.safetensors", "x", context());
  const auto d = p->decide({.question = "q"});
  // 26 features, layers of 16 and 12, one head of 4.
  EXPECT_EQ(d.own_cost.flops, 2u * (26 * 16 + 16 * 12 + 12 * 4));
  EXPECT_EQ(d.own_cost.weight_bytes, 4u * (27 * 16 + 17 * 12 + 13 * 4));
}

// Reading it twice would hash other bytes than it decides by.
TEST(Predictor, ItsFileIsReadOnce) {
  const support::TempFolder folder;
  const auto path = folder.path() / "p.safetensors";
  std::filesystem::copy_file(kGolden / "ordinal.safetensors", path);
  const auto size = std::filesystem::file_size(path);
  PolicyContext c = context();
  size_t hashed = 0;
  c.sha256 = [&](std::string_view bytes) {
    hashed = bytes.size();
    std::filesystem::resize_file(path, 1);
    return std::string("hash");
  };
  EXPECT_NO_THROW(PredictorPolicy::load(path, "p", c));
  EXPECT_EQ(hashed, size);
}

class BadPredictor : public testing::Test {
 protected:
  // The golden file with its header changed by `change` and, if asked, a float of the data
  // replaced.
  std::filesystem::path changed(const std::function<void(json& header, json& tensors)>& change,
                                std::optional<float> last = {}) const {
    std::ifstream in(kGolden / "ordinal.safetensors", std::ios::binary);
    std::stringstream all;
    all << in.rdbuf();
    std::string bytes = all.str();
    uint64_t n = 0;
    std::memcpy(&n, bytes.data(), sizeof n);
    json tensors = json::parse(bytes.substr(8, n));
    json header = json::parse(tensors["__metadata__"]["moeval_predictor"].get<std::string>());
    change(header, tensors);
    if (tensors.contains("__metadata__"))
      tensors["__metadata__"]["moeval_predictor"] = header.dump();
    const std::string text = tensors.dump();
    std::string data = bytes.substr(8 + n);
    if (last) std::memcpy(data.data() + data.size() - sizeof(float), &*last, sizeof(float));
    n = text.size();
    std::ofstream out(folder_.path() / "p.safetensors", std::ios::binary);
    out.write(reinterpret_cast<const char*>(&n), sizeof n);
    out << text << data;
    return folder_.path() / "p.safetensors";
  }
  std::string why(const std::function<void(json&, json&)>& change,
                  std::optional<float> last = {}) const {
    try {
      PredictorPolicy::load(changed(change, last), "p", context());
    } catch (const ModelFileError& e) {
      return e.what();
    }
    return "nothing was thrown";
  }
  // A predictor of the question's bytes and tokens with one hidden layer of two neurons, whose
  // second one and whose head weigh as given.
  std::filesystem::path network(const std::string& p_k, float hidden, float head) const {
    json h = {{"version", 1},
              {"model_sha256", context().weights_sha256},
              {"features", {"log_tokens", "log_bytes"}},
              {"activation", "relu"},
              {"k", {1, 2}},
              {"rule", {{"kind", "logits"}}}};
    if (!p_k.empty()) {
      h["p_k"] = p_k;
      h["rule"] = {{"kind", "plug_in"}, {"lambda", 0.1}, {"cost", {0.3, 0.4}}};
    }
    const std::string name = p_k.empty() ? "policy" : "p_k";
    json t = {{"__metadata__", {{"moeval_predictor", h.dump()}}}};
    std::vector<float> data;
    const auto add = [&](const std::string& tensor, std::vector<int64_t> shape,
                         const std::vector<float>& values) {
      const size_t at = data.size() * sizeof(float);
      data.insert(data.end(), values.begin(), values.end());
      t[tensor] = {
          {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {at, data.size() * sizeof(float)}}};
    };
    add("layers.0.weight", {2, 2}, {1, 1, hidden, hidden});
    add("layers.0.bias", {2}, {0, 0});
    add(name + ".weight", {2, 2}, {head, head, 0, 0});
    add(name + ".bias", {2}, {0, 0});
    std::string bytes(data.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), data.data(), bytes.size());
    std::ofstream(folder_.path() / "n.safetensors", std::ios::binary)
        << support::safetensors_bytes(t.dump(), bytes);
    return folder_.path() / "n.safetensors";
  }
  support::TempFolder folder_;
};

TEST_F(BadPredictor, TheUnchangedFileLoads) {
  EXPECT_EQ(why([](json&, json&) {}), "nothing was thrown");
}

TEST_F(BadPredictor, SaysWhatOverflowsInsteadOfDeciding) {
  const auto decide = [&](const std::filesystem::path& path, float embedding,
                          size_t n_tokens = 2) -> std::string {
    PolicyContext c = context();
    c.embedding_row = [&](TokenId, float* row) {
      std::fill_n(row, kD, 0.5f);
      row[3] = embedding;
    };
    const std::vector<TokenId> tokens(n_tokens, 1);
    try {
      PredictorPolicy::load(path, "p", c)->decide({.question = "q", .question_tokens = tokens});
    } catch (const PolicyError& e) {
      return e.what();
    }
    return "it decided";
  };
  const auto ordinal = changed([](json&, json&) {});
  EXPECT_EQ(decide(ordinal, 1), "it decided");
  EXPECT_THAT(decide(ordinal, 3e38f),
              AllOf(HasSubstr("p.safetensors: feature embedding_mean[3]"), HasSubstr("is inf")));
  EXPECT_THAT(decide(ordinal, NAN), HasSubstr("feature embedding_mean[3] of the question is nan"));
  EXPECT_THAT(decide(ordinal, 3e38f, 1), HasSubstr("scaled feature embedding_mean[3]"));
  EXPECT_EQ(decide(network("free", 1e38f, 1), 1), "it decided");
  EXPECT_THAT(decide(network("free", 1e38f, 3e38f), 1), HasSubstr("output 0 of p_k is inf"));
  EXPECT_THAT(decide(network("", 1e38f, 3e38f), 1), HasSubstr("output 0 of policy is inf"));
  EXPECT_THAT(decide(network("free", 3e38f, 1), 1), HasSubstr("output 1 of layers.0 is inf"));
}

TEST_F(BadPredictor, OfAnotherModelIsRefusedWithBothNames) {
  const auto path = changed([](json& h, json&) { h["model_sha256"] = std::string(64, 'c'); });
  try {
    PredictorPolicy::load(path, "p", context());
    ADD_FAILURE() << "it loaded";
  } catch (const PolicyMismatch& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("cccc"), HasSubstr("abab")));
  }
}

TEST_F(BadPredictor, IsRefusedWithItsPlace) {
  EXPECT_THAT(why([](json&, json& t) { t.erase("__metadata__"); }), HasSubstr("no predictor"));
  EXPECT_THAT(why([](json& h, json&) { h["features"].push_back("mood"); }),
              AllOf(HasSubstr("mood"), HasSubstr("embedding_mean")));
  EXPECT_THAT(why([](json& h, json&) { h["features"].push_back("digits"); }),
              AllOf(HasSubstr("feature_mean is [26], want [27]")));
  EXPECT_THAT(why([](json& h, json&) { h["k"] = {1, 2, 2, 8}; }), HasSubstr("ascending"));
  EXPECT_THAT(why([](json& h, json&) { h["k"] = {1, 2, 4, 9}; }), HasSubstr("1 to 8"));
  EXPECT_THAT(why([](json& h, json&) { h["k"] = {1, 2, 4}; }), HasSubstr("3 numbers"));
  EXPECT_THAT(why([](json& h, json&) { h["p_k"] = "sure"; }), HasSubstr("ordinal or free"));
  EXPECT_THAT(why([](json& h, json&) { h.erase("p_k"); }), HasSubstr("there is no p_k"));
  EXPECT_THAT(why([](json& h, json&) { h["rule"]["kind"] = "best"; }),
              HasSubstr("plug_in or logits"));
  EXPECT_THAT(why([](json& h, json&) {
                h["rule"] = {{"kind", "logits"}};
              }),
              HasSubstr("policy.weight is missing"));
  EXPECT_THAT(why([](json& h, json&) { h["activation"] = "tanh"; }), HasSubstr("want relu"));
  EXPECT_THAT(why([](json& h, json&) { h["version"] = 3; }), HasSubstr("version"));
  EXPECT_THAT(why([](json&, json&) {}, std::numeric_limits<float>::quiet_NaN()),
              AllOf(HasSubstr("p_k.bias"), HasSubstr("nan")));
}

class BadFallback : public testing::Test {
 protected:
  // What is wrong with the file of this predictor, its header changed.
  std::string why(
      const std::function<void(PredictorContent&)>& change,
      const std::function<void(json&)>& header = [](json&) {}) const {
    PredictorContent c;
    c.model_sha256 = context().weights_sha256;
    c.features = {Feature::log_tokens, Feature::log_bytes};
    c.grid = {1, 2};
    c.feature_mean = {0, 0};
    c.feature_scale = {1, 1};
    c.hidden.push_back({2, 2, {1, 0, 0, 1}, {0, 0}});
    c.p_k = PredictorContent::Linear{2, 2, {0, 0, 0, 0}, {0, 1}};
    c.plug_in = {0.1, {0.5, 1}};
    FallbackRule f;
    f.choice = {OodDetector::mahalanobis, Fallback::shrink};
    f.units = 2;
    f.threshold = 3;
    f.prior = {0.25, 0.5};
    f.measure.width = 2;
    f.measure.mean = {0.5, 0.5};
    f.measure.factor = {1, 0, 0.5, 1};
    c.fallback = f;
    change(c);
    std::string bytes = predictor_bytes(c);
    uint64_t n = 0;
    std::memcpy(&n, bytes.data(), sizeof n);
    json tensors = json::parse(bytes.substr(8, n));
    json h = json::parse(tensors["__metadata__"]["moeval_predictor"].get<std::string>());
    header(h);
    tensors["__metadata__"]["moeval_predictor"] = h.dump();
    const auto path = folder_.path() / "p.safetensors";
    std::ofstream(path, std::ios::binary)
        << support::safetensors_bytes(tensors.dump(), bytes.substr(8 + n));
    const std::vector<TokenId> tokens(2, 1);
    try {
      PredictorPolicy::load(path, "p", context())
          ->decide({.question = "q", .question_tokens = tokens});
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "it decided";
  }
  std::string of_header(const std::function<void(json&)>& header) const {
    return why([](PredictorContent&) {}, [&](json& h) { header(h["fallback"]); });
  }
  static FallbackRule& rule(PredictorContent& c) { return *c.fallback; }
  support::TempFolder folder_;
};

TEST_F(BadFallback, IsRefusedWithItsPlace) {
  EXPECT_EQ(of_header([](json&) {}), "it decided");
  EXPECT_THAT(of_header([](json& f) { f["detector"] = "nose"; }),
              AllOf(HasSubstr("'nose'"), HasSubstr("mahalanobis or nearest")));
  EXPECT_THAT(of_header([](json& f) { f["kind"] = "none"; }), HasSubstr("full, fixed, shrink"));
  EXPECT_THAT(of_header([](json& f) { f["units"] = 3; }), HasSubstr("units"));
  EXPECT_THAT(of_header([](json& f) { f["units"] = 1; }), HasSubstr("ood.mean is [2], want [1]"));
  EXPECT_THAT(of_header([](json& f) { f["threshold"] = -1; }), HasSubstr("threshold is -1"));
  EXPECT_THAT(of_header([](json& f) { f.erase("threshold"); }), HasSubstr("threshold is missing"));
  EXPECT_THAT(of_header([](json& f) { f["prior"] = {0.5}; }), HasSubstr("2 numbers"));
  EXPECT_THAT(of_header([](json& f) { f["prior"] = {0.5, 1.5}; }), HasSubstr("1.5"));
  EXPECT_THAT(of_header([](json& f) { f["tresh"] = 1; }), HasSubstr("tresh"));
  EXPECT_THAT(of_header([](json& f) {
                f["kind"] = "cap";
                f["k"] = 3;
              }),
              HasSubstr("k is 3"));
  EXPECT_THAT(of_header([](json& f) { f["detector"] = "nearest"; }),
              HasSubstr("ood.rows is missing"));
  const auto same = [](json&) {};
  EXPECT_THAT(why([](PredictorContent&) {}, [](json& h) { h["version"] = 1; }),
              AllOf(HasSubstr("fallback"), HasSubstr("version 1")));
  EXPECT_THAT(why([](PredictorContent&) {}, [](json& h) { h.erase("fallback"); }),
              HasSubstr("fallback is missing"));
  EXPECT_THAT(why(
                  [](PredictorContent& c) {
                    rule(c).measure.factor = {1, 0.5, 0.5, 1};
                  },
                  same),
              AllOf(HasSubstr("0.5 at [0, 1]"), HasSubstr("lower triangle")));
  EXPECT_THAT(why([](PredictorContent& c) { rule(c).measure.factor[0] = -1; }, same),
              HasSubstr("-1 at [0, 0]"));
  EXPECT_THAT(why([](PredictorContent& c) { rule(c).measure.mean[1] = NAN; }, same),
              AllOf(HasSubstr("ood.mean"), HasSubstr("nan")));
  EXPECT_THAT(why(
                  [](PredictorContent& c) {
                    c.policy = c.p_k;
                    c.plug_in.reset();
                  },
                  same),
              HasSubstr("the rule is not plug_in"));
  EXPECT_THAT(why(
                  [](PredictorContent& c) {
                    c.hidden.clear();
                    rule(c).measure.mean = {0, 0};
                  },
                  same),
              HasSubstr("no hidden layer"));
  EXPECT_THAT(why(
                  [](PredictorContent& c) {
                    rule(c).choice.detector = OodDetector::nearest;
                    rule(c).measure.detector = OodDetector::nearest;
                    rule(c).measure.n_rows = 0;
                  },
                  same),
              HasSubstr("ood.rows"));
}

}  // namespace
