#include <fmt/format.h>

#include "harness/audit.h"
#include "harness/audit_report.h"
#include "harness/commands.h"
#include "harness/exit_code.h"

namespace harness {

int command_audit(const AuditOptions& o) {
  AuditSettings s;
  s.run = o.run;
  s.sweep = o.sweep;
  s.db = o.db;
  s.lambda = o.lambda;
  s.max_worst = o.max_worst;
  fmt::print("{}", render_audit(audit(s), o.format));
  return kOk;
}

}  // namespace harness
