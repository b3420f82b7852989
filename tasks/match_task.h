// Owns tasks whose answer is a text: it is generated, taken out by a rule (answer_match.h) and
// compared with the one that is asked for.
#pragma once

#include <optional>
#include <string>

#include "tasks/task.h"
#include "tasks/task_file.h"

namespace tasks {

class MatchTask final : public Task {
 public:
  explicit MatchTask(TaskSpec spec);

  const std::string& name() const override { return spec_.name; }
  const std::string& suite() const override { return spec_.suite; }
  int version() const override { return spec_.version; }
  const std::string& description() const override { return spec_.description; }
  const std::string& dataset() const override { return spec_.dataset; }
  const std::string& metric() const override { return metric_; }
  std::optional<double> chance() const override { return spec_.chance; }
  int num_fewshot() const override { return spec_.num_fewshot; }
  const std::string& scorer() const override { return scorer_; }
  bool runs_code() const override { return false; }
  bool generates() const override { return true; }
  bool question_may_be_edited() const override { return spec_.question_edits; }
  bool is_chat() const override { return false; }
  std::string config_json() const override { return spec_.json; }

  // Demonstrations are the data set's rows of the sample's subset and those of none, in order.
  // Throws TaskError when they are too few, or when the header wants an instruction and the subset
  // has none.
  Query query(const datasets::Sample&, const datasets::Dataset&, int wording) const override;
  using Task::query;
  // detail: "gold=(A)"; of the rules for GSM8K "strict=0 flexible=1 gold=18", lm-eval's two.
  Score score(const datasets::Sample&, const Answer&, Sandbox*) const override;

 private:
  TaskSpec spec_;
  std::string metric_ = "exact_match", scorer_;
};

}  // namespace tasks
