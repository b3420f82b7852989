// Damaged files: every reader either reads them or throws DataError with one line; nothing else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>

#include "datasets/bbh_reader.h"
#include "datasets/data_error.h"
#include "datasets/embedded.h"
#include "datasets/gsm8k_reader.h"
#include "datasets/gsm_plus_reader.h"
#include "datasets/humaneval_reader.h"
#include "datasets/mmlu_pro_reader.h"
#include "datasets/mmlu_reader.h"
#include "datasets/mmlu_redux_reader.h"
#include "tests/datasets/gzip.h"

namespace datasets {
namespace {

std::string embedded(std::string_view path) {
  for (const EmbeddedFile& f : embedded_files())
    if (f.path == path) return std::string(f.bytes);
  throw std::out_of_range(std::string(path));
}

// One to four changes: a byte overwritten by one that matters to the format, a cut, a doubled part.
std::string damage(std::string bytes, std::mt19937& random) {
  static constexpr char kBytes[] = "\"\\,\n\r{}[]:0-eu\0\x1f\x8b\x80\xC3\xED\xFF";
  const int n = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < n && !bytes.empty(); ++i) {
    const size_t at = random() % bytes.size();
    const size_t length = 1 + random() % 20;
    switch (random() % 4) {
      case 0:
        bytes[at] = kBytes[random() % (sizeof kBytes - 1)];
        break;
      case 1:
        bytes.erase(at, length);
        break;
      case 2:
        bytes.insert(at, bytes.substr(random() % bytes.size(), length));
        break;
      default:
        bytes.insert(at, 1, kBytes[random() % (sizeof kBytes - 1)]);
    }
  }
  return bytes;
}

void expect_data_errors_only(const std::string& good, int rounds,
                             const std::function<void(const std::string&)>& read) {
  ASSERT_NO_THROW(read(good));
  std::mt19937 random(20240917);
  int refused = 0;
  for (int i = 0; i < rounds; ++i) {
    const std::string bad = damage(good, random);
    try {
      read(bad);
    } catch (const DataError& e) {
      ++refused;
      const std::string_view message = e.what();
      ASSERT_TRUE(message.starts_with("f")) << message;
      ASSERT_EQ(message.find('\n'), std::string_view::npos) << message;
    } catch (const std::exception& e) {
      FAIL() << "round " << i << ": " << e.what();
    }
  }
  // Most damage is found; damage inside a text cannot be.
  EXPECT_GT(refused, rounds / 10);
}

TEST(DamagedInput, MmluCsvIsReadOrRefused) {
  const std::string good = embedded("embedded/mmlu/test/computer_security_test.csv");
  expect_data_errors_only(good, 3000, [](const std::string& bytes) {
    parse_mmlu_csv(bytes, "f", "mmlu", "computer_security", "test");
  });
}

TEST(DamagedInput, HumanEvalJsonlIsReadOrRefused) {
  const std::string all = embedded("embedded/humaneval/HumanEval.jsonl");
  const std::string good = all.substr(0, all.find('\n', 3000) + 1);
  expect_data_errors_only(good, 3000,
                          [](const std::string& bytes) { parse_humaneval(bytes, "f"); });
}

TEST(DamagedInput, TextSetsAreReadOrRefused) {
  const std::string gsm = R"({"question":"How many?","answer":"1 + 1 = 2\n#### 2"})";
  expect_data_errors_only(gsm + "\n" + gsm + "\n", 2000,
                          [](const std::string& bytes) { parse_gsm8k(bytes, "f", "test"); });
  const std::string plus =
      R"({"question":"q","solution":"#### 5/8","answer":"5/8","perturbation_type":"a kind"})";
  expect_data_errors_only(plus + "\n", 2000,
                          [](const std::string& bytes) { parse_gsm_plus(bytes, "f"); });
  const std::string questions =
      R"j({"canary":"c","examples":[{"input":"a","target":"(A)"},{"input":"b","target":"] >"}]})j";
  expect_data_errors_only(questions, 2000,
                          [](const std::string& bytes) { parse_bbh(bytes, "f", "t"); });
  const std::string prompt =
      "canary GUID 0\n-----\nAdd.\n\nQ: 1?\nA: Let's think step by step.\nSo the answer is 1."
      "\n\nQ: 2?\nA: Let's think step by step.\nSo the answer is 2.";
  expect_data_errors_only(prompt, 2000,
                          [](const std::string& bytes) { parse_bbh_prompt(bytes, "f", "t"); });
}

TEST(DamagedInput, MmluProJsonlIsReadOrRefused) {
  std::string good;
  for (const int id : {1, 2})
    good +=
        fmt::format(R"({{"question_id":{},"question":"q?","options":["a","b\n","c"],"answer":"B",)"
                    R"("answer_index":1,"category":"law"}})"
                    "\n",
                    id);
  expect_data_errors_only(good, 3000, [](const std::string& bytes) { parse_mmlu_pro(bytes, "f"); });
}

TEST(DamagedInput, MmluReduxCsvIsReadOrRefused) {
  const std::string good =
      "question;choices;answer;error_type\r\nq\xD5s;['a', \"b's\", '\\xa0', '\\u6c34'];3;ok\r\n";
  expect_data_errors_only(good, 3000,
                          [](const std::string& bytes) { parse_mmlu_redux_csv(bytes, "f", "x"); });
}

TEST(DamagedInput, GzipIsReadOrRefused) {
  const std::string good = gzip(embedded("embedded/humaneval/HumanEval.jsonl"));
  expect_data_errors_only(good, 1000,
                          [](const std::string& bytes) { parse_humaneval(bytes, "f"); });
}

}  // namespace
}  // namespace datasets
