// Owns how an audit is shown: a page for a terminal, Markdown, JSON.
#pragma once

#include <string>
#include <vector>

#include "harness/audit.h"
#include "harness/commands.h"
#include "harness/page.h"

namespace harness {

// What a reader in a hurry must know of a task, most important first: what an interval or an
// adjusted p-value stands behind. Owned by harness/audit_findings.cc.
std::vector<std::string> findings(const TaskAudit&, const std::vector<int32_t>& grid);

// "1.23 [1.01, 1.48]", times `scale`; "12.3% [10.1, 14.8]"; n/a.
std::string show(const tasks::Estimate&, double scale = 1, int digits = 2);
std::string percent(const tasks::Estimate&);
std::string plain_percent(const tasks::Estimate&);  // without the interval
std::string p_value(double);

// What shifts did. Owned by harness/drift_report.cc.
void render_drifts(const TaskAudit&, Page*);

// What prompts without a right answer were given. Owned by harness/prompt_compute_report.cc.
void render_prompts(const PromptAudit&, Page*);

// Everything, with how each interval came about.
std::string audit_json(const Audit&);

std::string render_audit(const Audit&, Format);

}  // namespace harness
