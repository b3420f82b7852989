// Owns tasks that only put a prompt to the model, to measure the compute that it is given: nothing
// is generated, nothing is marked.
#pragma once

#include "tasks/task.h"
#include "tasks/task_file.h"

namespace tasks {

class PromptTask final : public Task {
 public:
  explicit PromptTask(TaskSpec spec) : spec_(std::move(spec)) {}

  const std::string& name() const override { return spec_.name; }
  const std::string& suite() const override { return spec_.suite; }
  int version() const override { return spec_.version; }
  const std::string& description() const override { return spec_.description; }
  const std::string& dataset() const override { return spec_.dataset; }
  const std::string& metric() const override;
  std::optional<double> chance() const override { return std::nullopt; }
  int num_fewshot() const override { return 0; }
  const std::string& scorer() const override;
  bool runs_code() const override { return false; }
  bool is_marked() const override { return false; }
  bool is_chat() const override { return false; }
  std::string config_json() const override { return spec_.json; }

  // Of kind choose, without options: the prompt is read, and that is all.
  Query query(const datasets::Sample&, const datasets::Dataset&, int wording) const override;
  using Task::query;
  // Unscored (not_run), whatever came of it.
  Score score(const datasets::Sample&, const Answer&, Sandbox*) const override;

 private:
  TaskSpec spec_;
};

}  // namespace tasks
