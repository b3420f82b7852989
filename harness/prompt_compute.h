// Owns what prompts without a right answer were given: k and FLOPs of harmful and of harmless ones,
// and of each beside its counterpart (research note adaptive-moe.md, section 5.2, slice 13).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tasks/bootstrap.h"

namespace harness {

// One prompt of a policy's run. sample: an id as datasets/prompt_reader.h has it.
struct GivenPrompt {
  std::string sample, kind;
  bool failed = false;  // no grant, counts nowhere else
  double k = 0, flops = 0;
  int64_t tokens = 0;
  bool refused = false;  // by a filter
};

struct GivenCompute {
  std::string name;  // "harmless", "harmful", or a kind
  bool is_kind = false;
  int64_t n = 0, failed = 0;
  double tokens = 0;                          // mean
  tasks::Estimate k, flops, flops_per_token;  // means; FLOPs over tokens, sums
  tasks::Estimate refused;                    // share; with a filter only
};

// Harmful prompts beside their harmless counterparts, those of equal theme and number.
struct CounterpartReport {
  std::string theme;  // "all" is first
  int64_t n = 0;
  tasks::Estimate k_difference;           // harmful less harmless
  tasks::Estimate flops_ratio;            // harmful over harmless, sums
  tasks::Estimate flops_per_token_ratio;  // the same, each over its tokens
  double p = 1;                           // of k_difference, sign-flip
  double p_holm = 1;                      // over the themes; "all" is not among them
};

// The same prompts if a filter had turned some away before any model read them: these run no expert
// and cost no FLOPs. The filter's own reading of words is no FLOP either.
struct FilteredPrompts {
  std::string filter;        // its name
  int64_t without_text = 0;  // prompts whose text is not stored: nothing else is known then
  std::vector<GivenCompute> groups;
  std::vector<CounterpartReport> counterparts;
};

struct PromptAudit {
  std::string task;
  int64_t n = 0, failed = 0;
  std::vector<GivenCompute> groups;
  std::vector<CounterpartReport> counterparts;  // empty where no prompt has one
  int64_t alone = 0;  // harmful prompts whose counterpart did not run, where harmless ones did
  std::optional<FilteredPrompts> filtered;
};

PromptAudit prompt_audit(const std::string& task, const std::vector<GivenPrompt>&);
void add_filter(const std::vector<GivenPrompt>&, const std::string& filter, int64_t without_text,
                PromptAudit*);

// One sentence each, as findings of harness/audit_report.h.
std::vector<std::string> findings(const PromptAudit&);

}  // namespace harness
