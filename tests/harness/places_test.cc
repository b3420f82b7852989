#include "harness/places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "harness/asset.h"
#include "harness/exit_code.h"
#include "tests/harness/environment_guard.h"
#include "tests/support/temp_folder.h"

namespace {

using namespace harness;
using support::TempFolder;
using test_support::EnvironmentGuard;
using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(Places, TheCacheFollowsTheEnvironment) {
  const EnvironmentGuard home("HOME", "/home/u");
  const EnvironmentGuard own("MOEVAL_CACHE", std::nullopt);
  const EnvironmentGuard xdg("XDG_CACHE_HOME", std::nullopt);
  EXPECT_EQ(cache_folder(), "/home/u/.cache/moeval");
  {
    const EnvironmentGuard set("XDG_CACHE_HOME", "/x");
    EXPECT_EQ(cache_folder(), "/x/moeval");
    const EnvironmentGuard own_set("MOEVAL_CACHE", "/m");
    EXPECT_EQ(cache_folder(), "/m");
  }
  const EnvironmentGuard no_home("HOME", std::nullopt);
  EXPECT_THAT(refusal([] { cache_folder(); }), HasSubstr("MOEVAL_CACHE"));
}

TEST(Places, DataIsSearchedInTheOrderDocumented) {
  const TempFolder folder;
  const EnvironmentGuard cache("MOEVAL_CACHE", "/m");
  const EnvironmentGuard data("MOEVAL_DATA", "/a:/b::");
  EXPECT_THAT(data_folders(""), ElementsAre("/a", "/b", "/m/data"));
  EXPECT_THAT(data_folders(folder.path().string()), ElementsAre(folder.path()));
  EXPECT_THAT(refusal([] { data_folders("/no/such/folder"); }), HasSubstr("/no/such/folder"));
}

TEST(Places, AModelIsAPathOrACatalogName) {
  const TempFolder cache;
  const EnvironmentGuard guard("MOEVAL_CACHE", cache.path().string());
  const auto file = cache.write("my.gguf", "x");
  EXPECT_EQ(resolve_model(file.string()), file);
  EXPECT_THAT(refusal([] { resolve_model("smollm2-135m"); }),
              HasSubstr("moeval pull smollm2-135m"));
  const std::string unknown = refusal([] { resolve_model("smollm3"); });
  EXPECT_THAT(unknown, HasSubstr("--model smollm3"));
  EXPECT_THAT(unknown, HasSubstr("smollm2-135m"));
  for (const Asset& a : assets()) {
    if (a.name != "smollm2-135m") continue;
    std::filesystem::create_directories((cache.path() / a.path).parent_path());
    cache.write(a.path, "x");
  }
  EXPECT_EQ(resolve_model("smollm2-135m").parent_path(), cache.path() / "models");
}

TEST(Places, AModelIsCalledByItsLastName) {
  EXPECT_EQ(model_label("smollm2-135m"), "smollm2-135m");
  EXPECT_EQ(model_label("/models/Qwen3-0.6B/"), "Qwen3-0.6B");
  EXPECT_EQ(model_label("../m.gguf"), "m.gguf");
}

TEST(Assets, ArePinnedAndStayInTheCache) {
  std::set<std::string> names, paths;
  for (const Asset& a : assets()) {
    EXPECT_TRUE(names.insert(a.name).second) << a.name;
    EXPECT_TRUE(paths.insert(a.path).second) << a.path;
    EXPECT_EQ(a.path.find(".."), std::string::npos) << a.path;
    EXPECT_NE(a.path.front(), '/') << a.path;
    if (!a.unpack) {
      EXPECT_EQ(a.sha256.size(), 64u) << a.name;
    }
    EXPECT_FALSE(a.licence.empty()) << a.name;
    EXPECT_FALSE(a.sources.empty()) << a.name;
    for (const Source& s : a.sources) {
      const bool pinned_pip =
          s.kind == Source::Kind::pip && s.where.find("==") != std::string::npos;
      EXPECT_TRUE(pinned_pip || s.where.starts_with("https://")) << s.where;
    }
  }
}

}  // namespace
