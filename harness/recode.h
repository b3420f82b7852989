// Owns the way from --shift recode... to ReCode's official files: which forms a request means, and
// the files that hold them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tasks/shift.h"
#include "tasks/task.h"

namespace harness {

inline constexpr std::string_view kRecode = "recode";
inline constexpr int kRecodeDraws = 5;  // s of the published tables

// "recode" and "recode.METHOD" in full: every method, and of each its first kRecodeDraws draws.
std::vector<std::string> expand_recode(const std::vector<std::string>& shifts);

// The shift with its official file, found as --data finds data sets; read once. Others as they are.
// Throws DataError: the file is missing, or is not the pinned one.
tasks::Shift with_official_file(tasks::Shift, const std::string& data, bool allow_unverified);

// Why the shift fits no sample of the task; empty when it may, and for other families.
std::string why_not_recode(const tasks::Shift&, const tasks::Task&);

}  // namespace harness
