#include <fmt/format.h>

#include "harness/audit.h"
#include "harness/audit_report.h"
#include "harness/commands.h"
#include "harness/exit_code.h"
#include "harness/places.h"

namespace harness {

int command_audit(const AuditOptions& o) {
  AuditSettings s;
  s.run = o.run;
  s.sweep = o.sweep;
  s.db = o.db;
  s.lambda = o.lambda;
  s.max_worst = o.max_worst;
  s.allow_unverified = o.allow_unverified;
  s.refusal_filter = o.refusal_filter;
  if (o.data != "embedded")
    for (const auto& folder : data_folders(o.data))
      if (std::filesystem::is_directory(folder)) s.data.push_back(folder);
  fmt::print("{}", render_audit(audit(s), o.format));
  return kOk;
}

}  // namespace harness
