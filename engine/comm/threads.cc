#include "engine/comm/threads.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <numeric>
#include <optional>
#include <vector>

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;

// What a rank has to give in its current operation. Written by it before it posts, read by all
// until they are done; `posted` and `done` under the group's mutex.
struct Post {
  std::string op;
  const std::byte* in = nullptr;
  int64_t row_bytes = 0;
  std::vector<int64_t> send, recv;
  uint64_t posted = 0, done = 0;
};

}  // namespace

struct ThreadsGroup::State {
  std::chrono::milliseconds deadline{};
  std::vector<std::unique_ptr<Rank>> ranks;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Post> posts;
  // Set once, under mutex: who ended the group, and why.
  struct End {
    int rank = -1;
    std::string why;
  };
  std::optional<End> end;

  int copying = 0;  // ranks that read others' buffers now; none begins after the end

  // Whoever ends the group may free its buffers next, so it waits for those that still read them.
  void finish(std::unique_lock<std::mutex>& lock, int rank, std::string_view why) {
    if (!end) end = End{rank, std::string(why)};
    changed.notify_all();
    changed.wait(lock, [this] { return copying == 0; });
  }
};

class ThreadsGroup::Rank final : public Communicator {
 public:
  Rank(State& state, int rank) : state_(state), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(state_.posts.size()); }

  Ticket all_to_all(std::span<const int64_t> in, std::span<int64_t> out) override {
    assert(in.size() == out.size() && in.size() % state_.posts.size() == 0);
    ones_.assign(state_.posts.size(), 1);
    const auto part = static_cast<int64_t>(in.size_bytes() / state_.posts.size());
    return post("all_to_all", in.data(), out.data(), {ones_, ones_}, part);
  }

  Ticket all_to_all_v(const void* in, void* out, RowCounts counts, int64_t row_bytes) override {
    assert(counts.send.size() == state_.posts.size() && counts.recv.size() == counts.send.size());
    assert(in != out || in == nullptr || size() == 1);
    return post("all_to_all_v", in, out, counts, row_bytes);
  }

  void wait(Ticket ticket) override {
    Post& mine = state_.posts[rank_];
    if (ticket.sequence == mine.done) return;
    const auto until = Clock::now() + state_.deadline;
    {
      std::unique_lock lock(state_.mutex);
      meet(lock, until, &Post::posted);
      throw_if_ended(lock);
      for (int p = 0; p < size(); ++p) check_pair(lock, p);
      ++state_.copying;
    }
    std::byte* to = out_;
    for (int p = 0; p < size(); ++p) {
      const Post& peer = state_.posts[p];
      const auto first = std::accumulate(peer.send.begin(), peer.send.begin() + rank_, int64_t{0});
      const int64_t bytes = mine.recv[p] * mine.row_bytes;
      const std::byte* from = peer.in + first * mine.row_bytes;
      if (bytes > 0 && from != to) std::memcpy(to, from, static_cast<size_t>(bytes));
      to += bytes;
    }
    std::unique_lock lock(state_.mutex);
    --state_.copying;
    mine.done = mine.posted;
    state_.changed.notify_all();
    meet(lock, until, &Post::done);
  }

  void abort(std::string_view why) noexcept override {
    try {
      std::unique_lock lock(state_.mutex);
      state_.finish(lock, rank_, why);
    } catch (...) {  // no memory for the reason: peers end at their deadline
    }
  }

 private:
  Ticket post(std::string_view op, const void* in, void* out, RowCounts counts, int64_t row_bytes) {
    Post& mine = state_.posts[rank_];
    std::unique_lock lock(state_.mutex);
    assert((state_.end || mine.posted == mine.done) && "one operation at a time");
    mine.op = op;
    mine.in = static_cast<const std::byte*>(in);
    mine.row_bytes = row_bytes;
    mine.send.assign(counts.send.begin(), counts.send.end());
    mine.recv.assign(counts.recv.begin(), counts.recv.end());
    out_ = static_cast<std::byte*>(out);
    ++mine.posted;
    state_.changed.notify_all();
    throw_if_ended(lock);
    return {mine.posted};
  }

  [[noreturn]] void fail(CommError::Kind kind, int suspect, std::string_view detail) {
    const Post& mine = state_.posts[rank_];
    throw CommError(kind, mine.op, mine.posted, suspect, detail);
  }

  void throw_if_ended(std::unique_lock<std::mutex>& lock) {
    if (!state_.end) return;
    state_.finish(lock, rank_, "");
    fail(CommError::Kind::aborted, state_.end->rank, state_.end->why);
  }

  // Returns when `stage` of every rank has reached this operation.
  void meet(std::unique_lock<std::mutex>& lock, Clock::time_point until, uint64_t Post::*stage) {
    const uint64_t sequence = state_.posts[rank_].posted;
    const auto late = [&] {
      return std::find_if(state_.posts.begin(), state_.posts.end(),
                          [&](const Post& p) { return p.*stage < sequence; });
    };
    const auto over = [&] { return state_.end || late() == state_.posts.end(); };
    const bool in_time = state_.changed.wait_until(lock, until, over);
    if (late() == state_.posts.end()) return;
    throw_if_ended(lock);
    assert(!in_time);
    static_cast<void>(in_time);
    const int suspect = static_cast<int>(late() - state_.posts.begin());
    const std::string why = fmt::format("did not come within {} ms", state_.deadline.count());
    state_.finish(lock, suspect, why);
    fail(CommError::Kind::timeout, suspect, why);
  }

  // Does rank p mean the same exchange as this one? Both ends of a pair look.
  void check_pair(std::unique_lock<std::mutex>& lock, int p) {
    const Post& mine = state_.posts[rank_];
    const Post& peer = state_.posts[p];
    std::string why;
    if (peer.op != mine.op || peer.row_bytes != mine.row_bytes) {
      why = fmt::format("calls {} with {} bytes a row, rank {} calls {} with {}", peer.op,
                        peer.row_bytes, rank_, mine.op, mine.row_bytes);
    } else if (peer.send[rank_] != mine.recv[p]) {
      why = fmt::format("sends {} rows, rank {} expects {}", peer.send[rank_], rank_, mine.recv[p]);
    } else if (peer.recv[rank_] != mine.send[p]) {
      why = fmt::format("expects {} rows, rank {} sends {}", peer.recv[rank_], rank_, mine.send[p]);
    } else {
      return;
    }
    state_.finish(lock, p, why);
    fail(CommError::Kind::mismatch, p, why);
  }

  State& state_;
  const int rank_;
  std::byte* out_ = nullptr;
  std::vector<int64_t> ones_;
};

ThreadsGroup::ThreadsGroup(int ranks, std::chrono::milliseconds deadline)
    : state_(std::make_unique<State>()) {
  assert(ranks >= 1);
  state_->deadline = deadline;
  state_->posts.resize(static_cast<size_t>(ranks));
  for (int r = 0; r < ranks; ++r) state_->ranks.push_back(std::make_unique<Rank>(*state_, r));
}

ThreadsGroup::~ThreadsGroup() = default;

int ThreadsGroup::size() const { return static_cast<int>(state_->ranks.size()); }

Communicator& ThreadsGroup::rank(int r) { return *state_->ranks[r]; }

}  // namespace engine
