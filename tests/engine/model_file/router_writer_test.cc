// What learned routers are written as: rounding, shards, and that nothing else of a file changes.
#include "engine/model_file/router_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/model_file_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model_folder.h"

namespace engine::test_support {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kRouted = 4;
const std::string kGates[] = {"model.layers.0.block_sparse_moe.gate.weight",
                              "model.layers.1.block_sparse_moe.gate.weight"};

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A tensor's bytes in a file: where they begin and how many there are.
struct Range {
  size_t begin, size;
};
Range range_of(const std::string& bytes, const std::string& tensor) {
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const auto offsets = json::parse(bytes.substr(8, header)).at(tensor).at("data_offsets");
  const auto begin = offsets[0].get<size_t>();
  return {8 + header + begin, offsets[1].get<size_t>() - begin};
}

// The tiny mixture with layer 0's router in `first` and layer 1's in `second` (F32, F16, BF16), the
// elements of both the 16-bit patterns given (or those as F32), in two shards.
class RouterFiles : public testing::Test {
 protected:
  void SetUp() override {
    support::write_tiny_model(whole_, {.n_experts = kRouted});
    fs::create_directories(shards_);
    for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(whole_ / name, shards_ / name);
    d_ = static_cast<size_t>(json::parse(content_of(whole_ / "config.json"))["hidden_size"]);
  }
  // element(i): what element i of layer 1's router is stored as, in `type`.
  template <class F>
  void shard(const std::string& type, F&& element) {
    const std::string bytes = content_of(whole_ / "model.safetensors");
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    support::SafetensorsWriter parts[2];
    json map;
    const json tensors = json::parse(bytes.substr(8, header));
    for (const auto& [name, info] : tensors.items()) {
      const Range range = range_of(bytes, name);
      const bool second = name.find("layers.1.") != std::string::npos;
      std::string data = bytes.substr(range.begin, range.size), stored = info["dtype"];
      if (name == kGates[1]) {
        data.clear(), stored = type;
        for (size_t i = 0; i < kRouted * d_; ++i) {
          const uint16_t bits = element(i);
          data.append(reinterpret_cast<const char*>(&bits), 2);
        }
      }
      parts[second].add(name, stored, info["shape"].dump(), data);
      map[name] = second ? "b.safetensors" : "a.safetensors";
    }
    for (int i = 0; i < 2; ++i)
      std::ofstream(shards_ / (i == 0 ? "a.safetensors" : "b.safetensors"), std::ios::binary)
          << parts[i].bytes();
    std::ofstream(shards_ / "model.safetensors.index.json") << json{{"weight_map", map}}.dump();
  }
  RouterExploration routers() const { return {2, kRouted, static_cast<int64_t>(d_)}; }
  uint16_t written(size_t i) const {
    const std::string bytes = content_of(out_ / "b.safetensors");
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + range_of(bytes, kGates[1]).begin + 2 * i, 2);
    return bits;
  }

  support::TempFolder folder_;
  const fs::path whole_ = folder_.path() / "whole", shards_ = folder_.path() / "shards",
                 out_ = folder_.path() / "out";
  size_t d_ = 0;
};

TEST_F(RouterFiles, Bf16IsRoundedToNearestTiesToEven) {
  shard("BF16", [](size_t i) { return static_cast<uint16_t>(i % 2 == 0 ? 0x3f80 : 0x3f81); });
  auto learned = routers();
  const float half = 0x1p-8f;  // of the distance between neighbours above 1
  const auto values = learned.learned(1);
  values[0] = half, values[1] = half;  // ties: 1 stays, the odd neighbour goes up
  values[2] = half + 0x1p-20f;
  values[3] = -2.0f;
  write_with_routers(*Checkpoint::open(shards_), learned, out_);
  EXPECT_EQ(written(0), 0x3f80);
  EXPECT_EQ(written(1), 0x3f82);
  EXPECT_EQ(written(2), 0x3f81);
  EXPECT_EQ(written(3), 0xbf7e) << "1.0078125 - 2 = -0.9921875";
  EXPECT_EQ(written(4), 0x3f80);
}

TEST_F(RouterFiles, F16IsRoundedToNearestTiesToEven) {
  shard("F16", [](size_t i) { return static_cast<uint16_t>(i % 2 == 0 ? 0x3c00 : 0x3c01); });
  auto learned = routers();
  const auto values = learned.learned(1);
  values[0] = values[1] = 0x1p-11f;
  values[2] = 0x1p-11f + 0x1p-20f;
  write_with_routers(*Checkpoint::open(shards_), learned, out_);
  EXPECT_EQ(written(0), 0x3c00);
  EXPECT_EQ(written(1), 0x3c02);
  EXPECT_EQ(written(2), 0x3c01);
}

TEST_F(RouterFiles, OnlyTheRoutersOfAShardChange) {
  shard("BF16", [](size_t) { return uint16_t{0x3f80}; });
  auto learned = routers();
  for (float& v : learned.learned(0)) v = 0.25f;
  for (float& v : learned.learned(1)) v = 1;
  write_with_routers(*Checkpoint::open(shards_), learned, out_);
  for (int layer = 0; layer < 2; ++layer) {
    const char* name = layer == 0 ? "a.safetensors" : "b.safetensors";
    const std::string before = content_of(shards_ / name), after = content_of(out_ / name);
    ASSERT_EQ(before.size(), after.size());
    const Range range = range_of(before, kGates[layer]);
    size_t changed = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] == after[i]) continue;
      ++changed;
      ASSERT_TRUE(i >= range.begin && i < range.begin + range.size) << name << " byte " << i;
    }
    EXPECT_GT(changed, 0u) << name;
    if (layer > 0) continue;
    float was = 0, is = 0;
    std::memcpy(&was, before.data() + range.begin, 4);
    std::memcpy(&is, after.data() + range.begin, 4);
    EXPECT_EQ(is, was + 0.25f);
  }
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors.index.json"})
    EXPECT_EQ(content_of(shards_ / name), content_of(out_ / name)) << name;
}

TEST_F(RouterFiles, WhatTheTypeCannotHoldLeavesNothingBehind) {
  shard("F16", [](size_t) { return uint16_t{0x3c00}; });
  auto learned = routers();
  learned.learned(1)[5] = 65504;
  try {
    write_with_routers(*Checkpoint::open(shards_), learned, out_);
    FAIL() << "written";
  } catch (const ModelFileError& e) {
    EXPECT_NE(std::string(e.what()).find("layer 1: a router's weight became 65505"),
              std::string::npos)
        << e.what();
  }
  EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace engine::test_support
