// Reads every include of the project and refuses an arrow that the design does not have; third
// parties' headers in our own; files that grew too long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Which folders a folder may include, itself left out.
const std::map<std::string, std::set<std::string>> kArrows = {
    {"kernels", {}},  {"engine", {"kernels"}},
    {"datasets", {}}, {"tasks", {"datasets"}},
    {"results", {}},  {"harness", {"engine", "kernels", "tasks", "datasets", "results"}},
};

// Headers of libraries that stay in .cc files. nlohmann/json_fwd.hpp is the one exception.
constexpr std::array kHidden = {"nlohmann/", "gtest/",   "gmock/",     "benchmark/", "sqlite3",
                                "hwy/",      "seccomp",  "CLI/",       "curl/",      "zip.h",
                                "zlib.h",    "openssl/", "utf8proc.h", "cuda",       "nccl"};

constexpr size_t kNoticedLines = 400, kMostLines = 450;

struct Include {
  size_t line = 0;
  bool quoted = false;
  std::string target;
};

// Lines of the form: # include "x" or <x>, blanks anywhere that the language allows.
std::vector<Include> includes_of(std::string_view text) {
  std::vector<Include> found;
  size_t line = 0;
  while (!text.empty()) {
    ++line;
    const size_t end = text.find('\n');
    std::string_view s = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto skip = [&](std::string_view word) {
      s.remove_prefix(std::min(s.find_first_not_of(" \t"), s.size()));
      const bool there = s.starts_with(word);
      if (there) s.remove_prefix(word.size());
      return there;
    };
    if (!skip("#") || !skip("include")) continue;
    const bool quoted = skip("\"");
    if (!quoted && !skip("<")) continue;
    found.push_back({line, quoted, std::string(s.substr(0, s.find(quoted ? '"' : '>')))});
  }
  return found;
}

// What is wrong with the includes of one file; path is relative to the root of the project.
std::vector<std::string> problems(const std::string& path, std::string_view text) {
  std::vector<std::string> out;
  const std::string folder = path.substr(0, path.find('/'));
  // Highway's parts of a .cc file, compiled once per instruction set, are named -inl.h.
  const bool part = path.ends_with("-inl.h");
  const bool header = !part && (path.ends_with(".h") || path.ends_with(".cuh"));
  for (const auto& i : includes_of(text)) {
    const auto say = [&](const std::string& what) {
      out.push_back(path + ":" + std::to_string(i.line) + ": " + i.target + ": " + what);
    };
    const std::string to = i.target.substr(0, i.target.find('/'));
    if (kArrows.contains(to) && i.target.find('/') != std::string::npos) {
      if (to != folder && !kArrows.at(folder).contains(to)) say(folder + " may not include " + to);
      if (header && i.target.ends_with("-inl.h")) say("part of a .cc file included by a header");
      continue;
    }
    if (to == "tests") say("the product may not include its tests");
    if (i.target.starts_with("gtest/") || i.target.starts_with("gmock/"))
      say("the product may not include a test library");
    const bool hidden = std::any_of(kHidden.begin(), kHidden.end(),
                                    [&](const char* h) { return i.target.starts_with(h); });
    // Headers of the module are seen by its .cu files alone.
    if (path.starts_with("kernels/cuda/") && path.ends_with(".cuh")) continue;
    if (header && hidden && i.target != "nlohmann/json_fwd.hpp")
      say("belongs into .cc files, not into a header");
    if (i.quoted && !hidden && to != "tests") say("is not written from the root of the project");
  }
  return out;
}

struct File {
  std::string path, text;
};

std::vector<File> files_under(const std::vector<std::string>& folders) {
  std::vector<File> out;
  const fs::path root = MOEVAL_SOURCE_DIR;
  for (const auto& folder : folders)
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension().string();
      if (extension != ".cc" && extension != ".h" && extension != ".cu" && extension != ".cuh")
        continue;
      std::ifstream in(entry.path(), std::ios::binary);
      out.push_back({entry.path().lexically_relative(root).generic_string(),
                     std::string(std::istreambuf_iterator<char>(in), {})});
    }
  std::sort(out.begin(), out.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return out;
}

std::vector<std::string> product_folders() {
  std::vector<std::string> out;
  for (const auto& [folder, unused] : kArrows) out.push_back(folder);
  return out;
}

TEST(Layering, ArrowsAreThoseOfTheDesign) {
  const auto files = files_under(product_folders());
  EXPECT_GT(files.size(), 100u);
  size_t arrows = 0;
  for (const auto& f : files) {
    arrows += includes_of(f.text).size();
    for (const auto& p : problems(f.path, f.text)) ADD_FAILURE() << p;
  }
  EXPECT_GT(arrows, 500u);
}

TEST(Layering, EveryFolderIncludesTheOnesThatItMay) {
  // Guards the reader of includes: an arrow that exists must be seen.
  std::set<std::string> seen;
  for (const auto& f : files_under(product_folders()))
    for (const auto& i : includes_of(f.text))
      seen.insert(f.path.substr(0, f.path.find('/')) + ">" +
                  i.target.substr(0, i.target.find('/')));
  for (const auto& [folder, targets] : kArrows)
    for (const auto& to : targets) EXPECT_TRUE(seen.contains(folder + ">" + to)) << folder << to;
}

TEST(Layering, APlantedArrowIsFound) {
  EXPECT_THAT(problems("tasks/x.cc", "#include \"tasks/y.h\"\n#include \"datasets/sample.h\"\n"),
              IsEmpty());
  EXPECT_THAT(problems("tasks/x.cc", "// a\n\n#include \"engine/engine.h\"\n"),
              ElementsAre("tasks/x.cc:3: engine/engine.h: tasks may not include engine"));
  for (const auto& [folder, targets] : kArrows)
    for (const auto& [to, unused] : kArrows) {
      const auto found = problems(folder + "/x.h", "\t#  include <" + to + "/y.h>  // why\n");
      EXPECT_THAT(found, SizeIs(folder == to || targets.contains(to) ? 0 : 1)) << folder << to;
    }
}

TEST(Layering, APlantedForeignHeaderIsFound) {
  for (const char* foreign :
       {"nlohmann/json.hpp", "gtest/gtest.h", "sqlite3.h", "hwy/highway.h", "seccomp.h",
        "CLI/CLI.hpp", "curl/curl.h", "openssl/evp.h", "zip.h", "cuda_runtime.h"}) {
    const std::string angle = std::string("#include <") + foreign + ">";
    const std::string quoted = std::string("#include \"") + foreign + "\"";
    EXPECT_FALSE(problems("harness/x.h", angle).empty()) << foreign;
    EXPECT_FALSE(problems("harness/x.h", quoted).empty()) << foreign;
    const bool test_library = std::string_view(foreign).starts_with("gtest/");
    EXPECT_EQ(problems("harness/x.cc", angle).empty(), !test_library) << foreign;
  }
  EXPECT_THAT(problems("engine/x.h", "#include <nlohmann/json_fwd.hpp>"), IsEmpty());
  EXPECT_THAT(problems("kernels/cpu/x-inl.h", "#include \"hwy/highway.h\""), IsEmpty());
  EXPECT_THAT(problems("kernels/x.h", "#include \"kernels/cpu/x-inl.h\""), SizeIs(1));
}

TEST(Layering, IncludesAreWrittenFromTheRoot) {
  EXPECT_THAT(problems("engine/a.cc", "#include \"engine.h\""),
              ElementsAre(HasSubstr("not written from the root")));
  EXPECT_THAT(problems("engine/a.cc", "#include \"../tasks/task.h\""), SizeIs(1));
  EXPECT_THAT(problems("engine/a.cc", "#include \"tests/support/x.h\""),
              ElementsAre(HasSubstr("its tests")));
}

TEST(Layering, FilesStayShort) {
  auto folders = product_folders();
  folders.push_back("tests");
  for (const auto& f : files_under(folders)) {
    const auto lines = static_cast<size_t>(std::count(f.text.begin(), f.text.end(), '\n'));
    if (lines > kNoticedLines) std::cout << f.path << ": " << lines << " lines\n";
    EXPECT_LE(lines, kMostLines) << f.path << ": split it by concept";
  }
}

}  // namespace
