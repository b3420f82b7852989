#include "engine/policy/policy_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/model_file/printable.h"
#include "engine/model_file_error.h"
#include "engine/nearest_name.h"
#include "engine/policy/policy_error.h"
#include "engine/policy/policy_file.h"
#include "engine/policy/predictor_policy.h"
#include "engine/policy/static_policy.h"
#include "engine/policy/table_policy.h"

namespace engine {
namespace {

const PolicyKind& kind_of(std::string_view written, std::string_view name) {
  const auto& kinds = policy_kinds();
  const auto found =
      std::find_if(kinds.begin(), kinds.end(), [&](const PolicyKind& k) { return k.name == name; });
  if (found != kinds.end()) return *found;
  std::vector<std::string_view> names, forms;
  for (const PolicyKind& k : kinds) {
    names.push_back(k.name);
    forms.push_back(k.form);
  }
  const NearestName near = nearest_name(name, names);
  const auto at =
      static_cast<size_t>(std::find(names.begin(), names.end(), near.name) - names.begin());
  const std::string nearest = near.likely ? fmt::format(" (nearest: {})", forms[at]) : "";
  throw PolicyError(fmt::format("policy {}: unknown, want one of {}{}",
                                printable(std::string(written)), fmt::join(forms, ", "), nearest));
}

// Comma-separated numbers.
struct Numbers {
  std::vector<double> values;
  std::optional<std::string_view> wrong;  // the first entry that is no finite number
};
Numbers numbers_of(std::string_view text) {
  Numbers out;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    double value = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), value);
    if (error == std::errc() && end == one.data() + one.size() && std::isfinite(value)) {
      out.values.push_back(value);
    } else if (!out.wrong) {
      out.wrong = one;
    }
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

// Of "layers:": a list of numbers, perhaps with a slip, or the name of a file. A file whose name
// looks like a list is written with its folder: ./1,2.json
bool is_list(std::string_view text, const Numbers& numbers) {
  const bool alone = text.find(',') == std::string_view::npos;
  if (!numbers.wrong) return true;
  return !alone && !numbers.values.empty() && text.find('/') == std::string_view::npos;
}

bool is_count(double x) { return x >= 1 && x <= 1e6 && x == std::floor(x); }

std::vector<double> layers_of(const std::filesystem::path& path) {
  const auto json = parse_strict_json(read_policy_file(path, 1u << 20), path.string(), 2);
  std::vector<double> out;
  const bool numbers = json.is_array() && std::all_of(json.begin(), json.end(), [](const auto& k) {
                         return k.is_number_integer();
                       });
  if (!numbers || json.empty())
    throw ModelFileError(
        fmt::format("{}: want a JSON array of whole numbers, one per layer", path.string()));
  for (const auto& k : json) out.push_back(k.template get<double>());
  return out;
}

ExpertBudget budget_of(const PolicySpec& spec, const PolicyContext& context) {
  ExpertBudget b;
  const int32_t max_k = context.moe.max_k();
  if (spec.kind == "trained") {
    b.k = std::min(context.moe.trained_k, max_k);
  } else if (spec.kind == "layers") {
    const auto layers = spec.file.empty() ? spec.numbers : layers_of(spec.file);
    double sum = 0;
    for (const double k : layers) {
      if (!is_count(k) || k > max_k)
        throw PolicyError(fmt::format("policy {}: {} experts in a layer, this model runs 1 to {}",
                                      spec.label, k, max_k));
      b.k_per_layer.push_back(static_cast<int16_t>(k));
      sum += k;
    }
    b.k = static_cast<int32_t>(std::lround(sum / static_cast<double>(layers.size())));
  } else {
    b.k = spec.k == 0 ? max_k : spec.k;
  }
  if (spec.kind == "top_p") b.selector = Selector::top_p;
  if (spec.kind == "threshold") b.selector = Selector::threshold;
  if (spec.kind == "entropy") b.selector = Selector::entropy;
  if (b.selector != Selector::top_k) {
    if (context.moe.n_routed() < 1)
      throw PolicyError(fmt::format(
          "policy {}: a dense model has nothing to choose from; want trained or fixed:1",
          spec.label));
    b.value = static_cast<float>(spec.numbers[0]);
    if (b.selector == Selector::entropy) b.slope = static_cast<float>(spec.numbers[1]);
  }
  try {
    b.check(context.moe, context.n_layers);
  } catch (const std::invalid_argument& e) {
    throw PolicyError(fmt::format("policy {}: {}", spec.label, e.what()));
  }
  return b;
}

}  // namespace

const std::vector<PolicyKind>& policy_kinds() {
  static const std::vector<PolicyKind> kKinds = {
      {"trained", "trained", "as many experts as the checkpoint was trained with (dense: one)"},
      {"fixed", "fixed:K", "K experts per token and layer, 1 to 16"},
      {"layers", "layers:K0,K1,...|FILE", "a number for every layer"},
      {"top_p", "top_p:P[,K]", "per token, the best experts until they hold more than P"},
      {"threshold", "threshold:T[,K]", "per token, the experts of probability T or more"},
      {"entropy", "entropy:A,B[,K]", "per token, round(A + B * normalised router entropy)"},
      {"predictor", "predictor:FILE", "per query, from the question by a small network"},
      {"table", "table:FILE", "per query, decisions made before (oracle, shuffled, your own)"}};
  return kKinds;
}

PolicySpec parse_policy(std::string_view written) {
  const size_t colon = written.find(':');
  const std::string_view rest =
      colon == std::string_view::npos ? std::string_view() : written.substr(colon + 1);
  const PolicyKind& kind = kind_of(written, written.substr(0, colon));
  PolicySpec spec;
  spec.kind = std::string(kind.name);
  spec.label = std::string(written);
  const auto refuse = [&](std::string_view why) {
    throw PolicyError(fmt::format("policy {}: {}, want {}", printable(spec.label), why, kind.form));
  };
  if (spec.kind == "trained") {
    if (colon != std::string_view::npos) refuse("takes nothing after its name");
    return spec;
  }
  if (rest.empty()) refuse("nothing after the name");
  if (spec.kind == "predictor" || spec.kind == "table") {
    spec.file = std::string(rest);
    return spec;
  }
  const Numbers numbers = numbers_of(rest);
  if (spec.kind == "layers" && !is_list(rest, numbers)) {
    spec.file = std::string(rest);
    return spec;
  }
  if (numbers.wrong) refuse(fmt::format("{} is no number", printable(*numbers.wrong)));
  spec.numbers = numbers.values;
  if (spec.kind == "layers") {
    for (const double k : spec.numbers) {
      if (!is_count(k)) refuse(fmt::format("{} experts in a layer", k));
    }
    return spec;
  }
  const size_t own = spec.kind == "fixed" ? 0 : spec.kind == "entropy" ? 2 : 1;
  if (spec.numbers.size() < std::max<size_t>(own, 1) || spec.numbers.size() > own + 1)
    refuse(fmt::format("{} numbers", spec.numbers.size()));
  if (spec.numbers.size() == own + 1) {
    if (!is_count(spec.numbers.back())) refuse(fmt::format("K is {}", spec.numbers.back()));
    spec.k = static_cast<int32_t>(spec.numbers.back());
    if (spec.k > kMaxBudget)
      refuse(fmt::format("K is {}, at most {} experts run", spec.k, kMaxBudget));
    spec.numbers.pop_back();
  }
  if (spec.kind == "top_p" && !(spec.numbers[0] > 0 && spec.numbers[0] <= 1))
    refuse(fmt::format("P is {}, not in (0, 1]", spec.numbers[0]));
  if (spec.kind == "threshold" && !(spec.numbers[0] >= 0 && spec.numbers[0] <= 1))
    refuse(fmt::format("T is {}, not in [0, 1]", spec.numbers[0]));
  return spec;
}

std::shared_ptr<const ExpertPolicy> make_policy(const PolicySpec& spec,
                                                const PolicyContext& context) {
  if (spec.kind == "table") return TablePolicy::load(spec.file, spec.label, context);
  if (spec.kind == "predictor") return PredictorPolicy::load(spec.file, spec.label, context);
  return std::make_shared<StaticPolicy>(spec.kind, spec.label, budget_of(spec, context));
}

}  // namespace engine
