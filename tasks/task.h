// Owns the Task interface: how to ask and how to mark. Text level, stateless after construction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/sample.h"
#include "tasks/data_shift.h"
#include "tasks/query.h"
#include "tasks/sandbox.h"
#include "tasks/score.h"
#include "tasks/strict_json.h"

namespace tasks {

inline constexpr std::string_view kNoMetric = "none";  // of tasks that mark nothing

class Task {
 public:
  virtual ~Task() = default;

  virtual const std::string& name() const = 0;   // mmlu, mmlu_lmeval, mmlu_cloze, humaneval, ...
  virtual const std::string& suite() const = 0;  // mmlu, humaneval
  virtual int version() const = 0;
  virtual const std::string& description() const = 0;  // one line
  virtual const std::string& dataset() const = 0;      // mmlu, humaneval, xstest, ...
  virtual const std::string& metric() const = 0;       // acc, acc_norm, pass@1; kNoMetric
  virtual std::optional<double> chance() const = 0;    // 0.25 for letters; 0 for code
  virtual int num_fewshot() const = 0;
  virtual const std::string& scorer() const = 0;  // name and version of the scoring rule
  virtual bool runs_code() const = 0;
  // A text is generated, not an option chosen.
  virtual bool generates() const { return runs_code(); }
  // False where there is no right answer: only what a prompt was given is measured.
  virtual bool is_marked() const { return true; }
  virtual bool is_chat() const = 0;
  virtual std::string config_json() const = 0;  // resolved task file; hashed into the run
  DataShift data_shift() const { return data_shift_of(config_json()); }

  // Other wordings of the prompt that ask the same question; wording 0 is the task's own.
  virtual int n_wordings() const { return 1; }
  // The prompt shows lettered options and a letter is the answer: their order may be rotated
  // (option_order.h).
  virtual bool has_lettered_options() const { return false; }
  // False where the answer depends on the question's very letters, so that no change of them keeps
  // it.
  virtual bool question_may_be_edited() const { return true; }

  // Demonstrations come from the data set's dev rows of the sample's subset.
  virtual Query query(const datasets::Sample&, const datasets::Dataset&, int wording) const = 0;
  Query query(const datasets::Sample& s, const datasets::Dataset& d) const {
    return query(s, d, 0);
  }

  // sandbox may be null for tasks that run no code. Throws nothing for bad answers: they are
  // scores.
  virtual Score score(const datasets::Sample&, const Answer&, Sandbox*) const = 0;
};

struct TaskOptions {
  std::optional<int> num_fewshot;  // ignored by tasks that have no demonstrations
};

// The names of the built-in tasks; and a task by such a name or, when the name contains a '/' or
// ends in ".json", from the user's own task file. Throws TaskError with the nearest name.
std::vector<std::string> task_names();
std::unique_ptr<Task> make_task(std::string_view name, const TaskOptions& = {});

}  // namespace tasks
