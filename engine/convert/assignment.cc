#include "engine/convert/assignment.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace engine::convert {
namespace {

constexpr int64_t kFar = std::numeric_limits<int64_t>::max() / 4;

std::vector<int64_t> rounded(const std::vector<double>& cost) {
  double largest = 0;
  for (const double c : cost) largest = std::max(largest, std::abs(c));
  const double scale = largest > 0 ? 0x1p40 / largest : 0;
  std::vector<int64_t> out(cost.size());
  for (size_t i = 0; i < cost.size(); ++i) out[i] = std::llround(cost[i] * scale);
  return out;
}

// Points enter one by one. A point goes to a cluster with room directly, or pushes members of full
// clusters on along the cheapest chain; so the points placed so far are always placed at least
// cost.
class Transport {
 public:
  Transport(const std::vector<double>& cost, int64_t n, int32_t clusters)
      : cost_(rounded(cost)),
        clusters_(clusters),
        room_(n / clusters),
        members_(clusters),
        moves_(static_cast<size_t>(clusters) * clusters),
        of_(n, -1) {}

  std::vector<int32_t> solve() {
    for (int64_t j = 0; j < static_cast<int64_t>(of_.size()); ++j) insert(j);
    return of_;
  }

 private:
  struct Move {
    int64_t cost = kFar;
    int64_t point = -1;
  };

  int64_t cost(int64_t point, int32_t cluster) const { return cost_[point * clusters_ + cluster]; }
  Move& move(int32_t from, int32_t to) { return moves_[from * clusters_ + to]; }

  // The cheapest member to push from `a` to each other cluster.
  void refresh(int32_t a) {
    for (int32_t b = 0; b < clusters_; ++b) move(a, b) = {};
    for (const int64_t i : members_[a]) {
      for (int32_t b = 0; b < clusters_; ++b) {
        const int64_t c = cost(i, b) - cost(i, a);
        if (Move& m = move(a, b); c < m.cost || (c == m.cost && i < m.point)) m = {c, i};
      }
    }
  }

  void insert(int64_t j) {
    std::vector<int64_t> distance(clusters_);
    std::vector<int32_t> from(clusters_, -1);
    for (int32_t b = 0; b < clusters_; ++b) distance[b] = cost(j, b);
    // Bellman-Ford: a push may lower the cost, a cycle of pushes never does.
    for (bool changed = true; changed;) {
      changed = false;
      for (int32_t a = 0; a < clusters_; ++a) {
        for (int32_t b = 0; b < clusters_; ++b) {
          if (a == b || move(a, b).point < 0) continue;
          if (distance[a] + move(a, b).cost < distance[b]) {
            distance[b] = distance[a] + move(a, b).cost;
            from[b] = a;
            changed = true;
          }
        }
      }
    }
    int32_t to = -1;
    for (int32_t b = 0; b < clusters_; ++b) {
      const bool room = static_cast<int64_t>(members_[b].size()) < room_;
      if (room && (to < 0 || distance[b] < distance[to])) to = b;
    }
    assert(to >= 0);
    std::vector<int32_t> touched;
    for (; from[to] >= 0; to = from[to]) {
      place(move(from[to], to).point, to);
      touched.push_back(to);
    }
    place(j, to);
    touched.push_back(to);
    for (const int32_t a : touched) refresh(a);
  }

  void place(int64_t point, int32_t to) {
    if (of_[point] >= 0) std::erase(members_[of_[point]], point);
    members_[to].push_back(point);
    of_[point] = to;
  }

  const std::vector<int64_t> cost_;
  const int32_t clusters_;
  const int64_t room_;
  std::vector<std::vector<int64_t>> members_;
  std::vector<Move> moves_;
  std::vector<int32_t> of_;
};

}  // namespace

std::vector<int32_t> assign_balanced(const std::vector<double>& cost, int64_t n, int32_t clusters) {
  assert(clusters > 0 && n % clusters == 0);
  assert(static_cast<int64_t>(cost.size()) == n * clusters);
  return Transport(cost, n, clusters).solve();
}

}  // namespace engine::convert
