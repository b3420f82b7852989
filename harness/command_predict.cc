#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/predictor.h"
#include "harness/text_table.h"

namespace harness {
namespace {

// One question a line; empty lines are left out, a line end of DOS too.
std::vector<std::string> read_questions(const std::string& file) {
  std::ifstream in;
  if (file != "-") {
    in.open(file, std::ios::binary);
    if (!in) throw UsageError(fmt::format("--file {}: cannot be read", file));
  }
  std::vector<std::string> out;
  for (std::string line; std::getline(file == "-" ? std::cin : in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) out.push_back(std::move(line));
  }
  if (out.empty())
    throw UsageError(fmt::format("--file {}: holds no question, want one a line", file));
  return out;
}

struct Prediction {
  std::string question;
  engine::Decision decision;
  std::optional<int32_t> k_needed;  // least k of which P(right) reaches the target
  int64_t tokens = 0;
  uint64_t flops = 0, flops_full = 0, own_flops = 0;
  std::optional<uint64_t> flops_needed;
};

std::string p_right(const engine::Decision& d) {
  for (const auto& [k, p] : d.p_correct_by_k)
    if (k == d.budget.k) return fmt::format("{:.3f}", p);
  return "n/a";
}

std::string shortened(const std::string& text) {
  constexpr size_t kMost = 60;
  if (text.size() <= kMost) return printable(text);
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return printable(text.substr(0, end)) + "...";
}

}  // namespace

int command_predict(const PredictOptions& o) {
  if (!(o.target > 0 && o.target < 1))
    throw UsageError(fmt::format("--target {}: want a probability between 0 and 1", o.target));
  if (!std::filesystem::is_regular_file(o.predictor))
    throw UsageError(fmt::format("--predictor {}: there is no such file", o.predictor));
  const auto questions = read_questions(o.file);
  RunSpec spec;
  spec.model = o.model;
  const auto model = load_model(spec);
  const auto predictor = load_predictor(o.predictor, model);
  const int32_t most = model.engine->config().moe.max_k();
  std::vector<Prediction> all;
  for (const auto& text : questions) {
    Prediction p;
    p.question = text;
    const auto tokens = model.tokenizer->encode(text, false, false);
    p.decision = predictor->decide({.key = text, .question = text, .question_tokens = tokens});
    p.tokens = static_cast<int64_t>(tokens.size());
    p.own_flops = p.decision.own_cost.flops;
    const auto flops = [&](int32_t k) -> uint64_t {
      if (tokens.empty()) return 0;
      engine::ExpertBudget budget = p.decision.budget;
      budget.k = k;
      return model.engine->cost_of(p.tokens, 1, budget).useful_flops();
    };
    p.flops = flops(p.decision.budget.k);
    p.flops_full = flops(most);
    for (const auto& [k, probability] : p.decision.p_correct_by_k)
      if (!p.k_needed && probability >= o.target) p.k_needed = k;
    if (p.k_needed) p.flops_needed = flops(*p.k_needed);
    all.push_back(std::move(p));
  }
  if (o.format == Format::json) {
    std::string lines;  // one question a line
    for (const auto& p : all) {
      nlohmann::ordered_json one{{"question", p.question},
                                 {"tokens", p.tokens},
                                 {"k", p.decision.budget.k},
                                 {"complexity", nullptr},
                                 {"p_k", nlohmann::ordered_json::array()},
                                 {"target", o.target},
                                 {"k_needed", nullptr},
                                 {"flops", p.flops},
                                 {"flops_needed", nullptr},
                                 {"flops_full", p.flops_full},
                                 {"predictor_flops", p.own_flops}};
      if (p.decision.ood_score) {
        one["ood_score"] = *p.decision.ood_score;
        one["ood_flagged"] = p.decision.ood_flagged;
        one["k_without_fallback"] = *p.decision.k_without_fallback;
      }
      if (p.decision.complexity) one["complexity"] = *p.decision.complexity;
      for (const auto& [k, probability] : p.decision.p_correct_by_k)
        one["p_k"].push_back({k, probability});
      if (p.k_needed) one["k_needed"] = *p.k_needed;
      if (p.flops_needed) one["flops_needed"] = *p.flops_needed;
      lines += lines.empty() ? "" : ",\n";
      lines += one.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    fmt::print("[{}]\n", lines);
    return kOk;
  }
  const auto& fallback = predictor->fallback();
  std::vector<TextTable::Column> columns{{"k", Align::right},        {"complexity", Align::right},
                                         {"P(right)", Align::right}, {"needed k", Align::right},
                                         {"FLOPs", Align::right},    {"of full", Align::right},
                                         {"tokens", Align::right}};
  if (fallback) {
    columns.push_back({"unlike", Align::right});
    columns.push_back({"k without fallback", Align::right});
  }
  columns.push_back({"question"});
  TextTable table(columns);
  for (const auto& p : all) {
    std::vector<std::string> cells{
        std::to_string(p.decision.budget.k),
        p.decision.complexity ? fmt::format("{:.2f}", *p.decision.complexity) : "n/a",
        p_right(p.decision),
        p.k_needed ? std::to_string(*p.k_needed) : "n/a",
        si(static_cast<double>(p.flops)),
        p.flops_full > 0 ? fmt::format("{:.3f}", static_cast<double>(p.flops) /
                                                     static_cast<double>(p.flops_full))
                         : "n/a",
        std::to_string(p.tokens)};
    if (fallback) {
      cells.push_back(
          fmt::format("{:.2f}{}", *p.decision.ood_score, p.decision.ood_flagged ? " !" : ""));
      cells.push_back(std::to_string(*p.decision.k_without_fallback));
    }
    cells.push_back(shortened(p.question));
    table.add(std::move(cells));
  }
  fmt::print("{}", o.format == Format::markdown ? table.markdown() : table.terminal());
  fmt::print(
      "\nFLOPs of the question read once at its k, demonstrations and answer apart; the decision "
      "itself costs {}.\nneeded k: the least with P(right) >= {}.\n",
      si(static_cast<double>(all.front().own_flops)), o.target);
  if (fallback)
    fmt::print(
        "unlike: {} distance to the questions of training; !: above {:.4g}, so that {} "
        "decided.\n",
        engine::ood_detector_name(fallback->choice.detector), fallback->threshold,
        fallback->choice.label());
  return kOk;
}

}  // namespace harness
