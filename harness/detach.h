// Owns going on without a terminal: the process forks, the child goes on in a session of its own
// with its output in a log file.
#pragma once

#include <filesystem>
#include <string>

namespace harness {

// Must be called before there are threads. In the parent: prints the child's pid and the log's path
// on stdout and returns false. In the child: returns true; stdin is empty, stdout and stderr are
// the log. Throws InfrastructureError.
bool detach(const std::filesystem::path& log);

// <database>.<name>-<pid of this process>.log
std::filesystem::path log_path(const std::string& db, const std::string& name);

}  // namespace harness
