// Runs on a GPU as a user starts them. The GPU is the stand-in that computes on the CPU behind the
// module's table (tests/support/reference_device), or one of the broken modules.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "harness/device_choice.h"
#include "tests/harness/environment_guard.h"
#include "tests/harness/run_fixture.h"

namespace {

using nlohmann::json;
using test_support::EnvironmentGuard;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

const std::string kModules = MOEVAL_BINARY_DIR "/device_modules/";

TEST(DeviceChoice, KnowsTheNamesOfDevices) {
  for (const char* name : {"cpu", "auto", "cuda:0", "cuda:17"})
    EXPECT_TRUE(harness::is_device_name(name)) << name;
  for (const char* name : {"", "CPU", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:+1", "cuda:0x1",
                           "cuda:1 ", "cuda:99999999999", "rocm:0"})
    EXPECT_FALSE(harness::is_device_name(name)) << name;
}

TEST(DeviceChoice, VersionsAreThoseOfTheVendor) {
  EXPECT_EQ(harness::cuda_version(13000), "13.0");
  EXPECT_EQ(harness::cuda_version(12040), "12.4");
  EXPECT_EQ(harness::cublas_version(120401), "12.4.1");
}

class DeviceRun : public RunTest {
 protected:
  program::Result ladder(const std::string& database, std::vector<std::string> more) const {
    std::vector<std::string> args = {"run",     "--model", "ladder", "--tasks", "ladder",
                                     "--limit", "4",       "--db",   database};
    args.insert(args.end(), more.begin(), more.end());
    return moeval(args);
  }
  json fingerprint(const std::string& database) const {
    return json::parse(stored::rows(
        database, "SELECT fingerprint_json FROM run WHERE run_id = (SELECT MAX(run_id) FROM run)"));
  }
  static size_t lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  const EnvironmentGuard module_{"MOEVAL_CUDA_MODULE", kModules + "libreference_device.so"};
  const EnvironmentGuard bytes_{"MOEVAL_REFERENCE_DEVICE_BYTES", "268435456"};
};

TEST_F(DeviceRun, AnswersAreThoseOfTheCpu) {
  const auto cpu = ladder(db("cpu.db"), {"--policy", "fixed:6"});  // right and wrong answers
  ASSERT_EQ(cpu.code, 0) << cpu.err;
  EXPECT_THAT(cpu.err, Not(HasSubstr("energy")));
  const auto gpu =
      ladder(db("gpu.db"), {"--policy", "fixed:6", "--device", "cuda:0", "--device-dtype", "f32"});
  ASSERT_EQ(gpu.code, 0) << gpu.err;
  EXPECT_THAT(gpu.err, HasSubstr("computing on cuda:0 (reference device (CPU)), weights as f32"));
  EXPECT_THAT(gpu.err, HasSubstr("\nenergy "));
  const char* const answers =
      "SELECT ordinal, source_key, status, k_mean, answer, correct, useful_flops, executed_flops, "
      "energy_uj FROM v_attempt ORDER BY ordinal";
  const std::string expected = stored::rows(db("cpu.db"), answers);
  EXPECT_EQ(lines(expected), 16u);
  EXPECT_EQ(stored::rows(db("gpu.db"), answers), expected);
}

// What stored runs of before are found again by.
TEST_F(DeviceRun, OfTheCpuHasNothingNewInItsFingerprint) {
  ASSERT_EQ(ladder(db(), {}).code, 0);
  std::vector<std::string> keys;
  const json facts = fingerprint(db());
  for (const auto& [key, value] : facts.items()) keys.push_back(key);
  EXPECT_THAT(keys,
              testing::ElementsAre("binary", "commit", "data.ladder", "gate_norm", "generate",
                                   "instruction_set", "limit", "max_new_tokens", "model.tokenizer",
                                   "model.weights", "num_samples", "policy", "prefix_reuse",
                                   "router_margins", "sample", "scenario", "seed", "task.ladder",
                                   "temperature", "tool", "top_p"));
  EXPECT_EQ(stored::rows(db(), "SELECT note, determinism FROM run"),
            "ladder ladder trained limit 4\tbitwise per instruction set\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT json_extract(config_json, '$.batch_rows'), "
                         "json_extract(config_json, '$.device') FROM run"),
            "512\tNULL\n");
  EXPECT_EQ(
      stored::rows(db(), "SELECT gpu_model, gpu_count, gpu_driver, cuda_version FROM environment"),
      "NULL\t0\tNULL\tNULL\n");
}

TEST_F(DeviceRun, OfEveryDeviceAndTypeIsAnotherRun) {
  ASSERT_EQ(ladder(db(), {}).code, 0);
  ASSERT_EQ(ladder(db(), {"--device", "cuda:0", "--device-dtype", "f32"}).code, 0);
  EXPECT_EQ(fingerprint(db())["device"], "cuda:0 f32");
  const auto bf16 = ladder(db(), {"--device", "cuda:0"});
  ASSERT_EQ(bf16.code, 0) << bf16.err;
  EXPECT_THAT(bf16.err, Not(HasSubstr("already complete")));
  const json facts = fingerprint(db());
  EXPECT_EQ(facts["device"], "cuda:0 bf16");
  EXPECT_EQ(facts["device.gpu"], "reference device (CPU)");
  EXPECT_EQ(facts["device.cublas"], "12.4.0");
  EXPECT_EQ(facts["device.module"].get<std::string>().size(), 64u);
  // What auto comes to is the run that was asked for by name.
  const auto same = ladder(db(), {"--device", "auto"});
  ASSERT_EQ(same.code, 0) << same.err;
  EXPECT_THAT(same.err, HasSubstr("already complete"));
  EXPECT_EQ(stored::rows(db(), "SELECT note FROM run ORDER BY run_id"),
            "ladder ladder trained limit 4\nladder ladder trained limit 4 cuda:0 f32\n"
            "ladder ladder trained limit 4 cuda:0 bf16\n");
  EXPECT_EQ(stored::rows(db(),
                         "SELECT json_extract(config_json, '$.batch_rows'), "
                         "json_extract(config_json, '$.device_dtype') FROM run"),
            "512\tNULL\n4096\tf32\n4096\tbf16\n");
}

TEST_F(DeviceRun, NamesTheGpuInTheEnvironment) {
  {
    const EnvironmentGuard nvml("LD_LIBRARY_PATH", MOEVAL_BINARY_DIR "/nvml_stand_in");
    const auto r = ladder(db(), {"--device", "cuda:0"});
    ASSERT_EQ(r.code, 0) << r.err;
    // The run may be too short for joules, but the counter is there.
    EXPECT_THAT(r.err, HasSubstr("NVML"));
    EXPECT_EQ(stored::rows(db(), "SELECT COUNT(*) FROM attempt WHERE energy_uj IS NOT NULL"),
              "0\n");
  }
  EXPECT_EQ(
      stored::rows(db(), "SELECT gpu_model, gpu_count, gpu_driver, cuda_version FROM environment"),
      "reference device (CPU)\t1\t580.159.04\t12.4\n");
  EXPECT_THAT(stored::rows(db(), "SELECT determinism FROM run"), HasSubstr("up to rounding"));
}

TEST_F(DeviceRun, AutoTakesTheCpuAndSaysWhy) {
  ASSERT_EQ(ladder(db(), {}).code, 0);
  for (const auto& [module, why] :
       {std::pair{"libbroken_device_no_devices.so", "driver version is insufficient"},
        {"libbroken_device_no_entry.so", "no symbol"},
        {"libbroken_device_wrong_abi.so", "from one commit"},
        {"libno_such_module.so", "is not there"}}) {
    SCOPED_TRACE(module);
    const EnvironmentGuard broken("MOEVAL_CUDA_MODULE", kModules + module);
    const auto r = ladder(db(), {"--device", "auto"});
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.err, HasSubstr("\ncomputing on the CPU: "));
    EXPECT_THAT(r.err, HasSubstr(why));
    EXPECT_THAT(r.err, HasSubstr("already complete"));  // it is the CPU's run
  }
  const EnvironmentGuard small("MOEVAL_REFERENCE_DEVICE_BYTES", "1048576");
  EXPECT_THAT(ladder(db(), {"--device", "auto"}).err, HasSubstr("does not fit into cuda:0"));
}

TEST_F(DeviceRun, AGpuThatCannotBeUsedIsOneLineAndCode4) {
  const auto refused = [&](const std::string& why) {
    const auto r = moeval({"inspect", "logits", "--model", model(), "--text", "a", "--device",
                           why == "there is no cuda:3" ? "cuda:3" : "cuda:0"});
    EXPECT_EQ(r.code, 4);
    EXPECT_THAT(r.err, HasSubstr(why));
    EXPECT_EQ(lines(r.err), 1u) << r.err;
  };
  refused("there is no cuda:3");
  {
    const EnvironmentGuard small("MOEVAL_REFERENCE_DEVICE_BYTES", "65536");
    refused("does not fit into cuda:0");
  }
  for (const auto& [module, why] :
       {std::pair{"libbroken_device_no_devices.so", "driver version is insufficient"},
        {"libbroken_device_no_entry.so", "no symbol"},
        {"libbroken_device_wrong_abi.so", "from one commit"},
        {"libno_such_module.so", "is not there"}}) {
    const EnvironmentGuard broken("MOEVAL_CUDA_MODULE", kModules + module);
    refused(why);
  }
}

TEST_F(DeviceRun, AMistypedDeviceIsAUsageError) {
  const std::vector<std::vector<std::string>> commands = {{"run", "--tasks", "ladder"},
                                                          {"sweep", "--tasks", "ladder"},
                                                          {"perplexity", "--file", "x"},
                                                          {"bench"},
                                                          {"inspect", "logits", "--text", "a"}};
  for (auto args : commands) {
    SCOPED_TRACE(args[0]);
    auto typed = args;
    args.insert(args.end(), {"--device", "cuda"});
    auto r = moeval(args);
    EXPECT_EQ(r.code, 2);
    EXPECT_THAT(r.err, HasSubstr("--device: 'cuda': want cpu, auto, or cuda:N as in cuda:0"));
    typed.insert(typed.end(), {"--device-dtype", "fp8"});
    r = moeval(typed);
    EXPECT_EQ(r.code, 2);
    EXPECT_THAT(r.err, HasSubstr("--device-dtype"));
    EXPECT_THAT(r.err, HasSubstr("bf16"));
  }
  EXPECT_THAT(moeval({"run", "--help"}).out, HasSubstr("0 = 512 on the CPU, 4096 on a GPU"));
}

TEST_F(DeviceRun, DoctorListsEveryGpuOrTheNextStep) {
  const auto gpu = [&] {
    const auto r = moeval({"doctor", "--format", "json"});
    std::string found;
    for (const auto& f : json::parse(r.out))
      if (f["what"].get<std::string>().starts_with("gpu"))
        found += fmt::format("{} {} {}\n", f["what"].get<std::string>(),
                             f["state"].get<std::string>(), f["detail"].get<std::string>());
    return std::pair(r.code, found);
  };
  const auto [code, found] = gpu();
  // Beside a real driver its version is there too.
  EXPECT_THAT(found,
              MatchesRegex("gpu cuda:0 ok reference device \\(CPU\\), compute capability 9.0, "
                           "268 MB of 268 MB free, .*CUDA 12.4, cuBLAS 12.4.0\n"));
  {
    const EnvironmentGuard nvml("LD_LIBRARY_PATH", MOEVAL_BINARY_DIR "/nvml_stand_in");
    EXPECT_THAT(gpu().second, HasSubstr("driver 580.159.04 of CUDA 12.4"));
  }
  for (const auto& [module, step] : {std::pair{"libbroken_device_no_devices.so", "nvidia-smi"},
                                     {"libbroken_device_no_entry.so", "build it anew"},
                                     {"libbroken_device_wrong_abi.so", "build it anew"},
                                     {"libno_such_module.so", "build where nvcc is"}}) {
    const EnvironmentGuard broken("MOEVAL_CUDA_MODULE", kModules + module);
    const auto [same_code, note] = gpu();
    EXPECT_EQ(same_code, code);  // it is never what fails
    EXPECT_THAT(note, testing::StartsWith("gpu note "));
    EXPECT_THAT(note, HasSubstr(step));
    EXPECT_EQ(lines(note), 1u);
  }
}

TEST_F(DeviceRun, LogitsAndPerplexityAreThoseOfTheCpu) {
  const auto logits = [&](std::vector<std::string> more) {
    std::vector<std::string> args = {"inspect", "logits", "--model", moe(),
                                     "--ids",   "5,6,7",  "--top",   "0"};
    args.insert(args.end(), more.begin(), more.end());
    const auto r = moeval(args);
    EXPECT_EQ(r.code, 0) << r.err;
    return json::parse(r.out);
  };
  const json cpu = logits({}), gpu = logits({"--device", "cuda:0", "--device-dtype", "f32"});
  EXPECT_EQ(cpu["device"], "cpu");
  EXPECT_EQ(gpu["device"], "cuda:0 f32");
  for (size_t r = 0; r < 3; ++r)
    for (size_t i = 0; i < cpu["logits"][r].size(); ++i)
      EXPECT_NEAR(gpu["logits"][r][i].get<double>(), cpu["logits"][r][i].get<double>(), 1e-3);
  const auto text = folder_.write("text.txt", "the cat sat on the mat and the dog sat too");
  const auto nll = [&](const std::string& device) {
    const auto r = moeval({"perplexity", "--model", model(), "--file", text, "--context", "8",
                           "--device", device, "--device-dtype", "f32", "--format", "json"});
    EXPECT_EQ(r.code, 0) << r.err;
    const auto j = json::parse(r.out);
    EXPECT_EQ(j["device"], device == "cpu" ? "cpu" : "cuda:0 f32");
    return j["by_k"][0]["nll_nats"]["mean"].get<double>();
  };
  EXPECT_NEAR(nll("cuda:0"), nll("cpu"), 1e-4);
}

TEST_F(DeviceRun, BenchHasTheLimitsOfTheGpuBesideIt) {
  const EnvironmentGuard small("MOEVAL_REFERENCE_DEVICE_BYTES", "33554432");
  std::vector<std::string> args = {
      "bench",  "--model",      "ladder", "--rounds",  "1",     "--only",
      "decode", "--new-tokens", "2",      "--streams", "1",     "--grid",
      "16",     "--batch-rows", "64",     "--device",  "cuda:0"};
  const auto table = moeval(args);
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("computed on cuda:0 (reference device (CPU)), weights as bf16"));
  EXPECT_THAT(table.out, HasSubstr("FLOP/s dense bf16 product of "));
  EXPECT_THAT(table.out, HasSubstr("memory copy of "));
  EXPECT_THAT(table.out, HasSubstr("of copy"));
  args.insert(args.end(), {"--format", "json"});
  const auto r = moeval(args);
  ASSERT_EQ(r.code, 0) << r.err;
  const auto j = json::parse(r.out);
  EXPECT_EQ(j["device"]["name"], "reference device (CPU)");
  EXPECT_EQ(j["device"]["type"], "bf16");
  EXPECT_GT(j["limit_flops_per_second"][0], 0);
  EXPECT_GT(j["limit_bytes_per_second"][0], 0);
  EXPECT_GT(j["cases"][0]["s_mbu"], 0);
}

}  // namespace
