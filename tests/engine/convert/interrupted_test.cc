// Conversions that are interrupted, resumed, refused, or that cannot be.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/model_file_error.h"
#include "tests/engine/convert/conversions.h"

namespace {

using namespace conversions;

TEST(Conversion, InterruptedAndResumedGivesTheSameBytes) {
  auto config = test_support::tiny_config();
  config.n_layers = 4;
  const TinyCheckpoint parent(config);
  const TempFolder folder;
  ASSERT_TRUE(convert_quietly(job_of(parent, folder.path() / "whole")).finished);
  const auto out = folder.path() / "resumed";
  const Job job = job_of(parent, out);
  for (int32_t layers = 1; layers <= 3; layers += 2) {
    std::atomic<bool> stop{false};
    const Outcome stopped = convert(
        job, [&](int32_t done, int32_t, const std::string&) { stop = stop || done >= layers; },
        stop);
    EXPECT_FALSE(stopped.finished);
    EXPECT_FALSE(std::filesystem::exists(out));
    EXPECT_TRUE(std::filesystem::exists(folder.path() / "resumed.partial"));
  }
  // A plan cut short is planned again; the one after it is not trusted alone.
  std::filesystem::resize_file(folder.path() / "resumed.partial/plans/layer_001", 100);
  const Outcome resumed = convert_quietly(job);
  EXPECT_TRUE(resumed.finished);
  EXPECT_EQ(resumed.layers_resumed, 1);
  for (const char* file : {"model.safetensors", "config.json", "conversion.json"}) {
    EXPECT_TRUE(slurp(out / file) == slurp(folder.path() / "whole" / file)) << file;
  }
}

TEST(Conversion, StopsInsideALayerAndKeepsTheLayersBefore) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  for (const Partition partition : {Partition::coactivation, Partition::parameters}) {
    Job job = job_of(parent, folder.path() / partition_name(partition));
    job.options.partition = partition;
    std::atomic<bool> stop{false};
    const Outcome stopped = convert(
        job, [&](int32_t, int32_t, const std::string& note) { stop = note == "layer 1: experts"; },
        stop);
    EXPECT_FALSE(stopped.finished);
    const Outcome resumed = convert_quietly(job);
    EXPECT_TRUE(resumed.finished);
    EXPECT_EQ(resumed.layers_resumed, 1);
  }
}

TEST(Conversion, DropsWhatAnEndedFinishLeftInTheFolder) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  const auto out = folder.path() / "m";
  ASSERT_TRUE(convert_quietly(job_of(parent, out)).finished);
  const auto leave = [](const std::filesystem::path& where) {
    std::filesystem::create_directories(where / "plans");
    std::ofstream(where / "plans/layer_000") << "plan";
    std::ofstream(where / "lock");
    std::ofstream(where / "fingerprint") << "algorithm 1\nseed 0\n";
  };
  leave(out);
  EXPECT_THROW(convert_quietly(job_of(parent, out)), OptionError);
  for (const char* file : {"plans", "lock", "fingerprint"}) {
    EXPECT_FALSE(std::filesystem::exists(out / file)) << file;
  }
  EXPECT_TRUE(std::filesystem::exists(out / "model.safetensors"));
  // A folder that no conversion made stays as it is.
  const auto foreign = folder.path() / "foreign";
  leave(foreign);
  EXPECT_THROW(convert_quietly(job_of(parent, foreign)), OptionError);
  EXPECT_TRUE(std::filesystem::exists(foreign / "plans/layer_000"));
}

TEST(Conversion, SaysWhichLayerNoRouterFits) {
  TinyCheckpoint parent;
  // Activations of layer 1 that are finite, and whose squares are not.
  parent.change("layers.1.experts.0.down", [](int64_t, int64_t, float v) { return v * 1e30f; });
  parent.change("layers.1.experts.0.up", [](int64_t, int64_t, float v) { return v * 1e10f; });
  const TempFolder folder;
  try {
    convert_quietly(job_of(parent, folder.path() / "m"));
    ADD_FAILURE() << "it converted";
  } catch (const engine::ModelFileError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("layer 1: no router can be fitted to"));
  }
}

template <class Error>
std::string refusal(const Job& job) {
  try {
    convert_quietly(job);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Conversion, RefusesWhatItCannotDo) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  const auto out = folder.path() / "m";
  auto config = test_support::tiny_config();
  config.moe.n_experts = 4;
  config.family = "mixtral";
  TinyCheckpoint mixture;
  mixture.config() = config;
  EXPECT_THAT(refusal<engine::ModelFileError>(job_of(mixture, out)),
              testing::HasSubstr("4 experts already"));
  Job few = job_of(parent, out);
  few.windows.resize(2);
  EXPECT_THAT(refusal<engine::ModelFileError>(few),
              testing::HasSubstr("test text: 61 calibration tokens, this model needs 184"));
  Options odd;
  odd.n_experts = 7;
  EXPECT_THAT(refusal<OptionError>(job_of(parent, out, odd)), testing::HasSubstr("96 neurons"));
  for (const auto& [experts, shared] : {std::pair{1, 0}, {17, 2}, {16, 16}, {16, -1}}) {
    Options o;
    o.n_experts = experts;
    o.n_shared = shared;
    EXPECT_NE(refusal<OptionError>(job_of(parent, out, o)), "") << experts << " " << shared;
  }
  EXPECT_FALSE(std::filesystem::exists(out.string() + ".partial"));
}

TEST(Conversion, LeavesTheWorkOfAnotherOneAlone) {
  const TinyCheckpoint parent;
  const TempFolder folder;
  const auto out = folder.path() / "m";
  std::atomic<bool> stop{true};
  EXPECT_FALSE(convert_quietly(job_of(parent, out), stop).finished);
  Job other = job_of(parent, out);
  other.options.seed = 9;
  EXPECT_THAT(refusal<OtherConversion>(other),
              testing::AllOf(testing::HasSubstr("'seed 0'"), testing::HasSubstr("'seed 9'")));
  EXPECT_TRUE(convert_quietly(job_of(parent, out)).finished);
  EXPECT_THAT(refusal<OptionError>(job_of(parent, out)), testing::HasSubstr("exists already"));
}

}  // namespace
