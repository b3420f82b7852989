// Owns BpeMerger.
#include "engine/tokenizer/bpe_merger.h"

#include <queue>

namespace engine::tokenizer {
namespace {

uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

struct Candidate {
  int32_t rank;
  int32_t at;
  TokenId left, right, merged;
  // std::priority_queue pops the largest.
  bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
};

}  // namespace

bool BpeMerger::add(TokenId left, TokenId right, int32_t rank, TokenId merged) {
  return merges_.emplace(pair_key(left, right), Merge{rank, merged}).second;
}

const BpeMerger::Merge* BpeMerger::find(TokenId left, TokenId right) const {
  const auto it = merges_.find(pair_key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

void BpeMerger::merge(std::vector<TokenId>& symbols) const {
  const int32_t n = static_cast<int32_t>(symbols.size());
  if (n < 2) return;
  constexpr int32_t kNone = -1;
  constexpr TokenId kGone = -1;
  std::vector<int32_t> next(symbols.size()), prev(symbols.size());
  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(storage));
  const auto consider = [&](int32_t at) {
    const TokenId left = symbols[at], right = symbols[next[at]];
    if (const Merge* m = find(left, right)) queue.push({m->rank, at, left, right, m->merged});
  };
  for (int32_t i = 0; i < n; ++i) {
    prev[i] = i - 1;
    next[i] = i + 1 < n ? i + 1 : kNone;
  }
  for (int32_t i = 0; i + 1 < n; ++i) consider(i);
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    const int32_t right = next[c.at];
    // Out of date when either side was merged since.
    if (symbols[c.at] != c.left || right == kNone || symbols[right] != c.right) continue;
    symbols[c.at] = c.merged;
    symbols[right] = kGone;
    next[c.at] = next[right];
    if (next[right] != kNone) prev[next[right]] = c.at;
    if (prev[c.at] != kNone) consider(prev[c.at]);
    if (next[c.at] != kNone) consider(c.at);
  }
  size_t kept = 0;
  for (int32_t i = 0; i != kNone; i = next[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace engine::tokenizer
