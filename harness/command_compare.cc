#include <fmt/format.h>

#include "harness/commands.h"
#include "harness/compare.h"
#include "harness/compare_report.h"
#include "harness/exit_code.h"

namespace harness {

int command_compare(const CompareOptions& o) {
  const auto comparison = compare_runs(find_compared_run(o.db, o.run_a),
                                       find_compared_run(o.db_b.empty() ? o.db : o.db_b, o.run_b));
  fmt::print("{}", render_comparison(comparison, o.format, o.max_flips));
  if (comparison.n_pairs() > 0) return kOk;
  fmt::print(stderr, "moeval: not comparable: no question was asked in both runs\n");
  return kMismatch;
}

}  // namespace harness
