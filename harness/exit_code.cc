#include "harness/exit_code.h"

#include "datasets/data_error.h"
#include "engine/convert/options.h"
#include "engine/model_file_error.h"
#include "engine/policy/policy_error.h"
#include "results/store_error.h"
#include "tasks/sandbox.h"
#include "tasks/task.h"

namespace harness {
namespace {

template <class T>
bool is_a(const std::exception& e) {
  return dynamic_cast<const T*>(&e) != nullptr;
}

}  // namespace

int exit_code_of(const std::exception& e) {
  if (is_a<UsageError>(e) || is_a<tasks::TaskError>(e) || is_a<engine::PolicyError>(e) ||
      is_a<engine::convert::OptionError>(e)) {
    return kUsage;
  }
  if (is_a<engine::ModelFileError>(e) || is_a<datasets::DataError>(e)) return kBadInput;
  if (is_a<tasks::SandboxUnavailable>(e)) return kNoSandbox;
  if (is_a<results::FingerprintMismatch>(e) || is_a<engine::PolicyMismatch>(e) ||
      is_a<engine::convert::OtherConversion>(e)) {
    return kMismatch;
  }
  if (is_a<results::StoreError>(e)) return kDatabase;
  return kIncomplete;
}

std::string exit_code_help() {
  return "Exit codes: 0 done and passed, 1 a gate failed, 2 usage or configuration, 3 bad input "
         "file,\n4 incomplete or infrastructure, 5 no sandbox, 6 database, 7 fingerprint mismatch "
         "or "
         "not\ncomparable, 8 inconclusive, 9 nondeterminism found, 130/143 interrupted (store "
         "consistent).";
}

}  // namespace harness
