// What the README says must stay true where a test can see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "harness/exit_code.h"
#include "tasks/task.h"
#include "tests/support/temp_folder.h"

namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kRoot = MOEVAL_SOURCE_DIR;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// What stands between `open` and `close`, each time.
std::vector<std::string> between(const std::string& text, const std::string& open,
                                 const std::string& close) {
  std::vector<std::string> out;
  size_t at = 0;
  while ((at = text.find(open, at)) != std::string::npos) {
    at += open.size();
    const size_t end = text.find(close, at);
    if (end == std::string::npos) break;
    out.push_back(text.substr(at, end - at));
    at = end + close.size();
  }
  return out;
}

TEST(Readme, ItsTaskFileIsATask) {
  const auto examples = between(read_file(kRoot / "README.md"), "```json\n", "```");
  ASSERT_EQ(examples.size(), 1u);
  const support::TempFolder folder;
  const auto task = tasks::make_task(folder.write("my_task.json", examples[0]).string());
  EXPECT_EQ(task->name(), "my_task");
  EXPECT_EQ(task->num_fewshot(), 2);
}

TEST(Readme, TheFilesItNamesExist) {
  size_t n = 0;
  for (const auto& quoted : between(read_file(kRoot / "README.md"), "`", "`")) {
    const std::string name = quoted.substr(0, quoted.find(' '));  // without options
    const size_t slash = name.find('/');
    if (slash == std::string::npos || name.find_first_of(" {}<~$*.") < slash) continue;
    const std::string top = name.substr(0, slash);
    if (top == "build" || !fs::is_directory(kRoot / top)) continue;
    if (name == "results/moeval.db") continue;  // made by the first run
    ++n;
    EXPECT_TRUE(fs::exists(kRoot / name)) << name;
  }
  EXPECT_GT(n, 20u);
}

TEST(Readme, NamesEveryPackageThatIsInstalled) {
  const std::string readme = read_file(kRoot / "README.md");
  const auto lists = between(read_file(kRoot / "tests/packages"), "packages=(", ")");
  ASSERT_FALSE(lists.empty());
  std::istringstream words(lists[0] + " libgtest-dev libgmock-dev");
  size_t n = 0;
  for (std::string package; words >> package; ++n)
    EXPECT_THAT(readme, HasSubstr("`" + package + "`"));
  EXPECT_GT(n, 15u);
}

TEST(Readme, ItsTableHasEveryExitCode) {
  const std::string readme = read_file(kRoot / "README.md");
  for (int code = harness::kOk; code <= harness::kNondeterminism; ++code)
    EXPECT_THAT(readme, HasSubstr("\n| " + std::to_string(code) + " | "));
  EXPECT_THAT(readme, HasSubstr("\n| 130, 143 | "));
}

}  // namespace
