// Owns BpeMerger: byte-pair merging by rank over symbol ids.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer.h"

namespace engine::tokenizer {

class BpeMerger {
 public:
  void reserve(size_t n) { merges_.reserve(n); }
  // A lower rank goes first. Returns false, and keeps the first, when the pair is known already.
  bool add(TokenId left, TokenId right, int32_t rank, TokenId merged);
  size_t size() const { return merges_.size(); }

  // Replaces neighbours by their merge until no pair has one: lowest rank first, leftmost first
  // among equals. O(n log n) for n symbols.
  void merge(std::vector<TokenId>& symbols) const;

 private:
  struct Merge {
    int32_t rank;
    TokenId merged;
  };
  const Merge* find(TokenId left, TokenId right) const;

  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace engine::tokenizer
