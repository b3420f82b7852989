#include "harness/ladder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <system_error>

#include "harness/exit_code.h"

namespace fs = std::filesystem;

namespace harness {
namespace {

static_assert(datasets::kLadderClasses == engine::ladder::kClasses);
static_assert(datasets::kLadderSites == engine::ladder::kSites);
static_assert(datasets::kLadderFillers == engine::ladder::kFillers);

bool holds(const fs::path& path, const std::string& bytes) {
  std::error_code ec;
  if (fs::file_size(path, ec) != bytes.size() || ec) return false;
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {}) == bytes;
}

// Whole or not there: several programs may write the same file at once.
void put(const fs::path& path, const std::string& bytes) {
  const fs::path part = fmt::format("{}.{}.part", path.string(), getpid());
  {
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) {
      std::error_code ignored;
      fs::remove(part, ignored);
      throw InfrastructureError(
          fmt::format("{}: cannot write {} bytes", part.string(), bytes.size()));
    }
  }
  fs::rename(part, path);
}

}  // namespace

engine::ladder::Words ladder_model_words() {
  const datasets::LadderWords& from = datasets::ladder_words();
  engine::ladder::Words to;
  to.keys = from.keys;
  to.fillers = from.fillers;
  to.pairs = from.pairs;
  to.gauge = from.gauge;
  to.plain_texts = from.plain_texts;
  to.inverse_expert = datasets::kLadderInverseAt;
  return to;
}

fs::path ladder_model_folder(const fs::path& cache) {
  const fs::path folder = cache / "models" / kLadderModel;
  try {
    for (const auto& file : engine::ladder::checkpoint_files(ladder_model_words())) {
      if (holds(folder / file.name, file.bytes)) continue;
      fs::create_directories(folder);
      put(folder / file.name, file.bytes);
    }
  } catch (const fs::filesystem_error& e) {
    throw InfrastructureError(fmt::format("model ladder: {}", e.what()));
  }
  return folder;
}

std::optional<int> planted_k(std::string_view sample_id) {
  const auto truth = datasets::ladder_truth(sample_id);
  if (!truth || truth->kind != datasets::LadderTruth::Kind::step) return std::nullopt;
  return truth->difficulty;
}

PlantedOutcome planted_outcome(const datasets::Dataset& data,
                               const std::function<int(const datasets::LadderTruth&)>& decide) {
  PlantedOutcome out;
  for (const auto& sample : data.samples) {
    const auto truth = datasets::ladder_truth(sample.id);
    if (!truth) continue;
    const int k = decide(*truth), needed = truth->needed_k();
    ++out.n;
    out.right += truth->right_at(k);
    out.too_few += k < needed;
    out.too_many += k > needed;
    out.sum_k += k;
    out.sum_needed += needed;
  }
  return out;
}

int oracle_k(const datasets::LadderTruth& truth) { return truth.needed_k(); }
int shortcut_k(const datasets::LadderTruth& truth) {
  return datasets::ladder_shortcut_k(truth.filler);
}

}  // namespace harness
