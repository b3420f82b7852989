// Owns how an audit is shown: a page for a terminal, Markdown, JSON.
#pragma once

#include <string>
#include <vector>

#include "harness/audit.h"
#include "harness/commands.h"

namespace harness {

// What a reader in a hurry must know of a task, most important first; each sentence stands on an
// interval that excludes nothing-at-all.
std::vector<std::string> findings(const TaskAudit&, const std::vector<int32_t>& grid);

// Everything, with how each interval came about.
std::string audit_json(const Audit&);

std::string render_audit(const Audit&, Format);

}  // namespace harness
