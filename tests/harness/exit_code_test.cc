#include "harness/exit_code.h"

#include <gtest/gtest.h>

#include <new>

#include "datasets/data_error.h"
#include "engine/model_file_error.h"
#include "kernels/device_module.h"
#include "results/store_error.h"
#include "tasks/sandbox.h"
#include "tasks/task.h"

namespace {

using namespace harness;

TEST(ExitCode, EveryKindOfErrorHasTheDocumentedCode) {
  EXPECT_EQ(exit_code_of(UsageError("x")), 2);
  EXPECT_EQ(exit_code_of(tasks::TaskError("x")), 2);
  EXPECT_EQ(exit_code_of(engine::ModelFileError("x")), 3);
  EXPECT_EQ(exit_code_of(datasets::DataError("x")), 3);
  EXPECT_EQ(exit_code_of(InfrastructureError("x")), 4);
  EXPECT_EQ(exit_code_of(kernels::DeviceError("x")), 4);
  EXPECT_EQ(exit_code_of(std::bad_alloc()), 4);
  EXPECT_EQ(exit_code_of(std::runtime_error("x")), 4);
  EXPECT_EQ(exit_code_of(tasks::SandboxUnavailable("x")), 5);
  EXPECT_EQ(exit_code_of(results::StoreError("x")), 6);
  EXPECT_EQ(exit_code_of(results::FingerprintMismatch("x")), 7);
}

TEST(ExitCode, HelpNamesEveryCode) {
  const std::string help = exit_code_help();
  for (const int code : {kOk, kGateFailed, kUsage, kBadInput, kIncomplete, kNoSandbox, kDatabase,
                         kMismatch, kInconclusive, kNondeterminism})
    EXPECT_NE(help.find(std::to_string(code) + " "), std::string::npos) << code;
  EXPECT_NE(help.find("130/143"), std::string::npos);
}

}  // namespace
