// Owns TablePolicy: decisions that somebody made before, looked up by query. Oracle, shuffled,
// matched-random, length-only and anybody's own predictor are tables.
//
// File (JSON, strict):
//   {"format": "moeval_table/1",
//    "model_sha256": "<64 hex digits: sha256 of the weights that it was made for>",
//    "note": "how it was made",                                    (optional)
//    "k": {"mmlu_cloze:mmlu/virology/test/12": 4, ...}}
// A key is a sample id; "task:" in front limits it to that task, "@shift/severity" behind to that
// shift (a name of a-z, 0-9, _ and a whole number; an id may hold other '@'). The most specific key
// counts: task:sample@shift, task:sample, sample@shift, sample.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>

#include "engine/policy/policy_spec.h"

namespace engine {

class TablePolicy final : public ExpertPolicy {
 public:
  // Throws ModelFileError (naming the key and its k), PolicyMismatch (both hashes).
  static std::shared_ptr<const TablePolicy> load(const std::filesystem::path&, std::string label,
                                                 const PolicyContext&);

  std::string_view kind() const override { return "table"; }
  std::string label() const override { return label_; }
  std::string config_json() const override;
  // Throws PolicyError naming file and key when the table has none for the query.
  Decision decide(const QueryFeatures&) const override;

 private:
  TablePolicy() = default;

  std::string label_, file_, sha256_;
  std::unordered_map<std::string, int32_t> k_;
};

}  // namespace engine
