// Owns the command line: options, help texts, and which command they call.
#pragma once

namespace harness {

// Parses and runs; returns the exit code. Errors are printed as one line on stderr.
int run_command_line(int argc, char** argv);

}  // namespace harness
