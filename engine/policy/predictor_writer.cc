#include "engine/policy/predictor_writer.h"

#include <fmt/format.h>

#include <cassert>
#include <nlohmann/json.hpp>

#include "engine/convert/durable_file.h"

namespace engine {
namespace {

using nlohmann::ordered_json;

struct Tensors {
  ordered_json header = ordered_json::object();
  std::string data;

  void add(const std::string& name, const std::vector<int64_t>& shape,
           const std::vector<float>& values) {
    [[maybe_unused]] int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    assert(static_cast<size_t>(n) == values.size());
    const size_t bytes = values.size() * sizeof(float);
    header[name] = {
        {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
    data.append(reinterpret_cast<const char*>(values.data()), bytes);
  }
  void add(const std::string& name, const std::vector<int64_t>& shape,
           const std::vector<double>& values) {
    add(name, shape, std::vector<float>(values.begin(), values.end()));
  }
  void add(const std::string& name, const PredictorContent::Linear& l) {
    add(name + ".weight", {l.n_out, l.n_in}, l.weight);
    add(name + ".bias", {l.n_out}, l.bias);
  }
};

ordered_json description(const FallbackRule& f) {
  ordered_json j{{"detector", ood_detector_name(f.choice.detector)},
                 {"kind", fallback_name(f.choice.fallback)},
                 {"units", f.units},
                 {"threshold", f.threshold}};
  if (f.choice.detector == OodDetector::nearest) j["neighbours"] = f.measure.neighbours;
  if (f.k > 0) j["k"] = f.k;
  if (!f.prior.empty()) j["prior"] = f.prior;
  return j;
}

ordered_json description(const PredictorContent& c) {
  ordered_json j{{"version", c.fallback ? 2 : 1}, {"model_sha256", c.model_sha256}};
  for (const Feature f : c.features) j["features"].push_back(feature_name(f));
  j["activation"] = "relu";
  j["k"] = c.grid;
  if (c.p_k) j["p_k"] = c.ordinal ? "ordinal" : "free";
  j["rule"] = {{"kind", c.plug_in ? "plug_in" : "logits"}};
  if (c.plug_in) {
    j["rule"]["lambda"] = c.plug_in->lambda;
    j["rule"]["cost"] = c.plug_in->cost;
  }
  if (c.fallback) j["fallback"] = description(*c.fallback);
  return j;
}

}  // namespace

std::string predictor_bytes(const PredictorContent& c) {
  Tensors t;
  t.header["__metadata__"]["moeval_predictor"] = description(c).dump();
  if (!c.training_json.empty()) t.header["__metadata__"]["moeval_training"] = c.training_json;
  const auto n = static_cast<int64_t>(c.feature_mean.size());
  t.add("feature_mean", {n}, c.feature_mean);
  t.add("feature_scale", {n}, c.feature_scale);
  for (size_t i = 0; i < c.hidden.size(); ++i) t.add(fmt::format("layers.{}", i), c.hidden[i]);
  if (c.p_k) t.add("p_k", *c.p_k);
  if (c.policy) t.add("policy", *c.policy);
  if (c.fallback) {
    const OodMeasure& m = c.fallback->measure;
    if (m.detector == OodDetector::mahalanobis) {
      t.add("ood.mean", {m.width}, m.mean);
      t.add("ood.factor", {m.width, m.width}, m.factor);
    } else {
      t.add("ood.rows", {m.n_rows, m.width}, m.rows);
    }
  }
  std::string header = t.header.dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + t.data;
}

void write_predictor(const std::filesystem::path& path, const PredictorContent& c) {
  const std::string bytes = predictor_bytes(c);
  convert::DurableFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace engine
