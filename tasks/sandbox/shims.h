// Owns the Python texts that run inside: embedded from the .py files of this folder.
#pragma once

namespace tasks::sandbox {

const char* candidate_shim();  // codec + candidate's side
const char* checker_shim();    // codec + checker's side

// The self-test: a program that tries what must not work, and the test that demands it did not; a
// second program whose call must be fatal; a fixed workload.
const char* probe_program();
const char* probe_test();
const char* fatal_probe_program();
const char* workload_program();

}  // namespace tasks::sandbox
