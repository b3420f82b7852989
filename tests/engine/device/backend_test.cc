// Where a model runs: on the GPU that was named or not at all; with auto on a GPU if it can, and
// why not otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/device_module.h"
#include "tests/engine/device/families.h"
#include "tests/support/device_module_env.h"
#include "tests/support/device_runs.h"

namespace {

using engine::Engine;
using engine::EngineOptions;
using kernels::DeviceError;
using test_support::DeviceModuleGuard;
using test_support::EnvironmentGuard;
using test_support::TinyCheckpoint;
using testing::AllOf;
using testing::HasSubstr;

EngineOptions options_of(const std::string& device) {
  EngineOptions o;
  o.threads = 1;
  o.device = device;
  return o;
}

// auto takes the CPU and says why; the GPU named is an error of type E that says the same.
template <class E>
void expect_passed_over(const engine::Checkpoint& model, EngineOptions o, const std::string& why) {
  o.device = "auto";
  const auto engine = Engine::load(model, o);
  EXPECT_EQ(engine->options().device, "cpu");
  EXPECT_EQ(engine->device().device, "cpu");
  EXPECT_EQ(engine->options().max_batch_rows, 512);
  EXPECT_THAT(engine->options().device_passed_over, HasSubstr(why));
  EXPECT_EQ(engine->options().device_passed_over.find('\n'), std::string::npos);
  engine::Request r;
  r.tokens = {1, 2, 3};
  r.max_new_tokens = 2;
  r.budget = engine->trained_budget();
  EXPECT_EQ(test_support::run_one(*engine, r).outcome, engine::Outcome::ok);
  o.device = "cuda:0";
  try {
    Engine::load(model, o);
    ADD_FAILURE() << "no error";
  } catch (const E& e) {
    EXPECT_EQ(engine->options().device_passed_over, e.what());
  }
}

TEST(Backend, OfAModuleThatIsBrokenIsTheCpu) {
  const TinyCheckpoint model;
  struct {
    const char *name, *why;
  } const modules[] = {{"broken_device_no_devices", "CUDA driver version is insufficient"},
                       {"broken_device_no_entry", "not a module of moeval"},
                       {"broken_device_wrong_abi", "build both from one commit"},
                       {"there_is_no_such_module", "is not there"}};
  for (const auto& m : modules) {
    SCOPED_TRACE(m.name);
    const DeviceModuleGuard module(m.name);
    expect_passed_over<DeviceError>(model, options_of(""), m.why);
  }
}

TEST(Backend, OfAModelThatDoesNotFitIsTheCpu) {
  const DeviceModuleGuard module("reference_device", 1 << 20);
  expect_passed_over<DeviceError>(TinyCheckpoint(), options_of(""), "does not fit into cuda:0");
}

TEST(Backend, OfRanksIsTheCpu) {
  const DeviceModuleGuard module;
  EngineOptions o = options_of("");
  o.ranks = 2;
  expect_passed_over<DeviceError>(TinyCheckpoint(test_support::tiny_moe_config()), o, "--ranks");
}

TEST(Backend, OfARouterThatOnlyTheCpuHasIsTheCpu) {
  const TinyCheckpoint model(test_support::tiny_nested_config(engine::RouterKind::exact_norm));
  const DeviceModuleGuard module;
  expect_passed_over<std::invalid_argument>(model, options_of(""), "exact_norm");
}

TEST(Backend, OfAutoIsTheFirstGpuWhereItHoldsTheModel) {
  const DeviceModuleGuard module;
  const TinyCheckpoint model;
  const auto engine = Engine::load(model, options_of("auto"));
  EXPECT_EQ(engine->options().device, "cuda:0");
  EXPECT_EQ(engine->options().device_passed_over, "");
  EXPECT_EQ(engine->options().max_batch_rows, 4096);
  const engine::DeviceFacts facts = engine->device();
  EXPECT_EQ(facts.device, "cuda:0");
  EXPECT_EQ(facts.name, "reference device (CPU)");
  EXPECT_THAT(facts.uuid, testing::StartsWith("GPU-"));
  EXPECT_EQ(facts.type, "bf16");
  EXPECT_EQ(facts.driver, 12040);
  EXPECT_EQ(facts.runtime, 12040);
  EXPECT_EQ(facts.blas, 120400);
}

TEST(Backend, KeepsTheRowsAndTypeThatAreNamed) {
  const DeviceModuleGuard module;
  const TinyCheckpoint model;
  EngineOptions o = options_of("cuda:0");
  o.max_batch_rows = 33;
  o.device_type = engine::DeviceType::f16;
  const auto engine = Engine::load(model, o);
  EXPECT_EQ(engine->options().max_batch_rows, 33);
  EXPECT_EQ(engine->device().type, "f16");
}

TEST(Backend, OfTheCpuLoadsNoModule) {
  const EnvironmentGuard module("MOEVAL_CUDA_MODULE", "/there/is/none.so");
  const TinyCheckpoint model;
  const auto engine = Engine::load(model, options_of("cpu"));
  EXPECT_EQ(engine->device().device, "cpu");
  EXPECT_EQ(engine->device().name, "");
  EXPECT_EQ(engine->options().device_passed_over, "");
}

TEST(Backend, OfAGpuThatIsNotThereIsAnError) {
  const DeviceModuleGuard module;
  const TinyCheckpoint model;
  EXPECT_THAT([&] { Engine::load(model, options_of("cuda:3")); },
              testing::ThrowsMessage<DeviceError>(HasSubstr("there is no cuda:3")));
}

TEST(Backend, OfANameThatIsNoneIsAnErrorWithAModuleAndWithout) {
  const TinyCheckpoint model;
  for (const char* module : {"reference_device", "there_is_no_such_module"}) {
    const DeviceModuleGuard guard(module);
    for (const char* name : {"", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:+1", "cuda:1x", "cuda: 0",
                             "cuda:0 ", "CUDA:0", "Auto", "cuda:99999999999"}) {
      EXPECT_THAT([&] { Engine::load(model, options_of(name)); },
                  testing::ThrowsMessage<std::invalid_argument>(
                      AllOf(HasSubstr("device '" + std::string(name) + "'"), HasSubstr("cuda:0"))))
          << name;
    }
  }
}

TEST(Backend, OfAGpuShowsNoInputsOfBlocks) {
  const DeviceModuleGuard module;
  const auto engine = Engine::load(TinyCheckpoint(), options_of("cuda:0"));
  EXPECT_THROW(engine->observe_ffn([](int32_t, const float*, int64_t) {}), std::invalid_argument);
  engine->observe_ffn(nullptr);
}

}  // namespace
