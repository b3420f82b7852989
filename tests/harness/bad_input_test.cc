// Each wrong file, option or data set of the kind a user meets: one line that names file, place and
// values, the documented exit code, and nothing lost that was stored.
#include <zlib.h>

#include "tests/harness/run_fixture.h"
#include "tests/support/gguf_writer.h"

namespace {

class BadInputTest : public RunTest {
 protected:
  // One line on stderr that names `words`; the exit code; nothing on stdout.
  void expect_refused(const std::vector<std::string>& args, int code,
                      const std::vector<std::string>& words) const {
    const auto r = moeval(args);
    EXPECT_EQ(r.code, code) << r.err;
    for (const auto& word : words)
      EXPECT_NE(r.err.find(word), std::string::npos) << "'" << word << "' in: " << r.err;
    const auto line = r.err.find("moeval: ");
    if (code != 2) {
      ASSERT_NE(line, std::string::npos) << r.err;
      EXPECT_EQ(r.err.find('\n', line), r.err.size() - 1) << "more than one line: " << r.err;
    }
    EXPECT_EQ(r.out, "");
  }
  std::vector<std::string> cloze(const std::string& model_path) const {
    return {"run",      "--model", model_path, "--tasks", "mmlu_cloze", "--data",
            "embedded", "--db",    db(),       "--limit", "1"};
  }
  void cut(const std::filesystem::path& file, size_t bytes) const {
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - bytes);
  }
  void edit(const std::filesystem::path& file, const std::string& from,
            const std::string& to) const {
    auto text = program::slurp(file);
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    support::write_file(file, text.replace(at, from.size(), to));
  }
};

TEST_F(BadInputTest, UnknownOptionTaskAndPolicyAreUsageErrors) {
  expect_refused({"run", "--tasks", "mmlu", "--frobnicate"}, 2, {"--frobnicate"});
  expect_refused({"run", "--model", model(), "--tasks", "mmlu_cloz", "--db", db()}, 2,
                 {"mmlu_cloz", "mmlu_cloze"});
  auto args = cloze(model());
  args.insert(args.end(), {"--policy", "fixed:4"});
  expect_refused(args, 2, {"fixed:4", "1 to 1"});
  expect_refused(cloze("no-such-model"), 2, {"no-such-model", "smollm2-135m"});
  expect_refused({"run", "--model", model(), "--tasks", "mmlu", "--data", "/no/such", "--db", db()},
                 2, {"/no/such"});
  expect_refused(
      {"task", "show", "mmlu_cloze", "--data", "embedded", "--model", model(), "--doc", "9999"}, 2,
      {"9999", "199"});
}

TEST_F(BadInputTest, UnknownKeyOfATaskFileNamesPointerAndNearest) {
  const auto file = folder_.write("mine.json", R"({"name": "mine", "promt": 1})");
  expect_refused({"run", "--model", model(), "--tasks", file, "--db", db()}, 2,
                 {"mine.json", "unknown key"});
}

TEST_F(BadInputTest, ModelThatIsNotBuiltYetNamesThePullCommand) {
  expect_refused({"run", "--tasks", "mmlu_cloze", "--data", "embedded", "--db", db()}, 2,
                 {"moeval pull smollm2-135m"});
}

TEST_F(BadInputTest, TruncatedWeightsAreABadFile) {
  cut(model() / "model.safetensors", 100);
  expect_refused(cloze(model()), 3, {"model.safetensors"});
}

TEST_F(BadInputTest, EmptyAndForeignFilesAreBadFiles) {
  const auto empty = folder_.write("empty.gguf", "");
  expect_refused(cloze(empty), 3, {"empty.gguf"});
  const auto text = folder_.write("text.gguf", "this is not a model");
  expect_refused(cloze(text), 3, {"text.gguf"});
}

TEST_F(BadInputTest, WrongFamilyNamesTheKnownOnes) {
  edit(model() / "config.json", "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"");
  edit(model() / "config.json", "LlamaForCausalLM", "MambaForCausalLM");
  expect_refused(cloze(model()), 3, {"config.json", "mamba", "llama"});
}

TEST_F(BadInputTest, MissingTensorIsNamed) {
  auto config = model() / "config.json";
  edit(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  expect_refused(cloze(model()), 3, {"layers.2"});
}

TEST_F(BadInputTest, UnknownDtypeIsNamed) {
  edit(model() / "model.safetensors", "\"dtype\":\"F32\"", "\"dtype\":\"F99\"");
  expect_refused(cloze(model()), 3, {"F99"});
}

TEST_F(BadInputTest, DamagedTokenizerIsABadFile) {
  cut(model() / "tokenizer.json", 20);
  expect_refused(cloze(model()), 3, {"tokenizer.json"});
  std::filesystem::remove(model() / "tokenizer.json");
  expect_refused(cloze(model()), 3, {"tokenizer.json"});
}

TEST_F(BadInputTest, CsvWithAStrayQuoteNamesFileAndLine) {
  for (const char* split : {"dev", "test"}) {
    std::filesystem::create_directories(folder_.path() / "data" / "mmlu" / split);
    const auto file =
        folder_.path() / "data" / "mmlu" / split / (std::string("astronomy_") + split + ".csv");
    support::write_file(file, "What?,a,b,c,d,A\n\"What now?,a,b,c,d,B\n");
  }
  expect_refused({"run", "--model", model(), "--tasks", "mmlu_cloze", "--data",
                  folder_.path() / "data", "--allow-unverified", "--db", db()},
                 3, {"astronomy_", ".csv", "2"});
}

TEST_F(BadInputTest, GzipThatEndsEarlyIsABadFile) {
  std::filesystem::create_directories(folder_.path() / "data" / "humaneval" / "data");
  const auto file = folder_.path() / "data" / "humaneval" / "data" / "HumanEval.jsonl.gz";
  gzFile gz = gzopen(file.c_str(), "wb");
  for (int i = 0; i < 1000; ++i) gzprintf(gz, "{\"task_id\": \"HumanEval/%d\"}\n", i * 7919);
  gzclose(gz);
  cut(file, 30);
  expect_refused({"run", "--model", model(), "--tasks", "humaneval", "--data",
                  folder_.path() / "data", "--allow-unverified", "--db", db()},
                 3, {"HumanEval.jsonl.gz"});
}

TEST_F(BadInputTest, UnpinnedDataNameBothHashesAndTheWayOut) {
  std::filesystem::create_directories(folder_.path() / "data" / "humaneval" / "data");
  support::write_file(
      folder_.path() / "data" / "humaneval" / "data" / "HumanEval.jsonl",
      "{\"task_id\": \"HumanEval/0\", \"prompt\": \"def f():\\n\", \"entry_point\": "
      "\"f\", \"canonical_solution\": \"    return 1\\n\", \"test\": \"def "
      "check(candidate):\\n    assert candidate() == 1\\n\"}\n");
  expect_refused({"run", "--model", model(), "--tasks", "humaneval", "--data",
                  folder_.path() / "data", "--db", db()},
                 3, {"HumanEval.jsonl", "sha256"});
}

TEST_F(BadInputTest, UnusableDatabaseIsRefusedBeforeAnythingRuns) {
  const auto foreign = folder_.write("foreign.db", "this is somebody's letter, not a database");
  auto args = cloze(model());
  const auto with_db = [&](const std::string& path) {
    auto a = args;
    for (size_t i = 0; i + 1 < a.size(); ++i)
      if (a[i] == "--db") a[i + 1] = path;
    return a;
  };
  expect_refused(with_db(foreign), 6, {"foreign.db"});
  EXPECT_EQ(program::slurp(foreign), "this is somebody's letter, not a database");
  expect_refused(with_db(folder_.path() / "no" / "folder" / "x.db"), 6, {"no/folder"});
  expect_refused(with_db(folder_.path()), 6, {folder_.path().string()});
  expect_refused({"leaderboard", "--db", folder_.path() / "absent.db"}, 6, {"absent.db"});
}

TEST_F(BadInputTest, FullDiskEndsTheRunWithWhatIsStoredIntact) {
  const auto args = run_args("mmlu_cloze", db());
  const program::Child child(folder_.path(), args, 300'000);
  const auto r = child.wait();
  EXPECT_EQ(r.code, 6) << r.err;
  EXPECT_NE(r.err.find("run.db"), std::string::npos) << r.err;
  const auto resumed = moeval(args);
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(moeval({"verify", "--db", db()}).code, 0);
}

}  // namespace
