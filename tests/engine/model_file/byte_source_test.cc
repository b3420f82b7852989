#include "engine/model_file/byte_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/engine/model_file/expect_refused.h"
#include "tests/support/temp_folder.h"

namespace engine::test_support {
namespace {

TEST(ByteSource, ReadsExactlyTheBytesAskedFor) {
  const support::TempFolder folder;
  const auto file = ByteSource::open_file(folder.write("x.bin", "0123456789"));
  const auto memory = ByteSource::from_memory("x.bin", "0123456789");
  for (const auto& source : {file, memory}) {
    EXPECT_EQ(source->size_bytes(), 10u);
    std::string got(4, ' ');
    source->read(6, got.data(), 4);
    EXPECT_EQ(got, "6789");
    source->read(10, got.data(), 0);
    expect_refused([&] { source->read(7, got.data(), 4); }, "x.bin", "truncated");
    expect_refused([&] { source->read(UINT64_MAX, got.data(), 4); }, "x.bin", "truncated");
    expect_refused([&] { source->read(4, got.data(), SIZE_MAX - 2); }, "x.bin", "truncated");
  }
}

TEST(ByteSource, RefusesWhatIsNotARegularFile) {
  const support::TempFolder folder;
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_refused([&] { ByteSource::open_file(fifo); }, "fifo", "a pipe");
  expect_refused([&] { ByteSource::open_file(folder.path()); }, folder.path().string(),
                 "a directory");
  expect_refused([] { ByteSource::open_file("/dev/zero"); }, "/dev/zero", "a device");
  expect_refused([&] { ByteSource::open_file(folder.write("none", "")); }, "none", "empty");
  expect_refused([&] { ByteSource::open_file(folder.path() / "absent"); }, "absent", "No such");
  std::filesystem::create_symlink("loop", folder.path() / "loop");
  expect_refused([&] { ByteSource::open_file(folder.path() / "loop"); }, "loop", "symbolic links");
}

TEST(ByteSource, RefusesAFileItMayNotRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const support::TempFolder folder;
  const auto path = folder.write("secret", "x");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  expect_refused([&] { ByteSource::open_file(path); }, "secret", "Permission denied");
}

TEST(ByteSource, FollowsASymbolicLinkToARegularFile) {
  const support::TempFolder folder;
  folder.write("blob", "abc");
  std::filesystem::create_symlink("blob", folder.path() / "link");
  EXPECT_EQ(ByteSource::open_file(folder.path() / "link")->size_bytes(), 3u);
}

TEST(ByteSource, SaysSoWhenTheFileBecameShorter) {
  const support::TempFolder folder;
  const auto path = folder.write("weights.bin", std::string(5000, 'w'));
  const auto source = ByteSource::open_file(path);
  ASSERT_EQ(::truncate(path.c_str(), 4000), 0);
  char buffer[100];
  source->read(3900, buffer, 100);
  expect_refused([&] { source->read(3950, buffer, 100); }, "weights.bin", "became shorter");
}

}  // namespace
}  // namespace engine::test_support
