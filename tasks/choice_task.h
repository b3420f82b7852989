// Owns multiple-choice tasks: prompts with demonstrations, and marking by option log-probability.
#pragma once

#include "tasks/task.h"
#include "tasks/task_file.h"

namespace tasks {

class ChoiceTask final : public Task {
 public:
  explicit ChoiceTask(TaskSpec spec);

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
  bool is_chat() const override { return false; }
  std::string config_json() const override { return spec_.json; }

  int n_wordings() const override { return 1 + static_cast<int>(spec_.wordings.size()); }
  bool has_lettered_options() const override;

  // Throws TaskError when the subject has fewer dev rows than num_fewshot.
  Query query(const datasets::Sample&, const datasets::Dataset&, int wording) const override;
  using Task::query;
  // detail: "acc=0 acc_norm=1 gold=B" (acc_norm only when the task normalises).
  Score score(const datasets::Sample&, const Answer&, Sandbox*) const override;

 private:
  std::string render_item(const PromptTemplate& item, const std::string& subject,
                          const datasets::Sample&, const std::vector<std::string>& symbols,
                          std::pair<size_t, size_t>* question) const;
  std::string render_option(const datasets::Sample&, const std::vector<std::string>& symbols,
                            size_t i) const;

  TaskSpec spec_;
  std::string metric_, scorer_;
};

}  // namespace tasks
