// Owns function-writing tasks: prompts, extraction of the program, and marking in the sandbox.
#pragma once

#include "tasks/task.h"
#include "tasks/task_file.h"

namespace tasks {

class CodeTask final : public Task {
 public:
  explicit CodeTask(TaskSpec spec);

  const std::string& name() const override { return spec_.name; }
  const std::string& suite() const override { return spec_.suite; }
  int version() const override { return spec_.version; }
  const std::string& description() const override { return spec_.description; }
  const std::string& dataset() const override { return spec_.dataset; }
  const std::string& metric() const override { return metric_; }
  std::optional<double> chance() const override { return spec_.chance; }
  int num_fewshot() const override { return spec_.num_fewshot; }
  const std::string& scorer() const override { return scorer_; }
  bool runs_code() const override { return true; }
  bool is_chat() const override { return spec_.is_chat; }
  std::string config_json() const override { return spec_.json; }

  Query query(const datasets::Sample&, const datasets::Dataset&, int wording) const override;
  using Task::query;
  // Demonstrations are the data set's, in order. Throws TaskError when it has too few.
  // Unscored (not_run) without a sandbox. The CPU limit is cpu_s times the machine factor.
  Score score(const datasets::Sample&, const Answer&, Sandbox*) const override;

  // The part of the answer that is run: cut at the first stop, then the extraction rule.
  std::string completion(std::string_view answer) const;

 private:
  TaskSpec spec_;
  std::string metric_, scorer_;
};

}  // namespace tasks
