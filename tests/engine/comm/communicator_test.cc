// What every backend must do: exchanges that lose nothing, and errors that reach every rank.
#include "engine/comm/communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <random>

#include "tests/engine/comm/ranks.h"

namespace {

using engine::CommError;
using engine::Communicator;
using ranks::Group;
using Table = std::vector<std::vector<int64_t>>;  // [from, to]

// Rows from each rank to each: a few, many, none; one rank that sends nothing, one that gets none.
Table traffic(int n, uint32_t seed) {
  std::mt19937 random(seed);
  Table t(n, std::vector<int64_t>(n));
  for (int p = 0; p < n; ++p) {
    for (int q = 0; q < n; ++q) {
      if (n > 1 && (p == 1 || q == n - 1)) continue;
      t[p][q] = random() % 3 == 0 ? 0 : random() % 3 == 0 ? random() % 200 : random() % 5;
    }
  }
  return t;
}

std::vector<int64_t> column(const Table& t, int q) {
  std::vector<int64_t> c;
  for (const auto& row : t) c.push_back(row[q]);
  return c;
}

int64_t sum(const std::vector<int64_t>& v) {
  return std::accumulate(v.begin(), v.end(), int64_t{});
}

class Exchange : public testing::TestWithParam<int> {};

TEST_P(Exchange, OfCountsTransposesTheirTable) {
  const int n = GetParam();
  Group group(n);
  for (int round = 0; round < 20; ++round) {
    Table received(n);
    group.run_all([&](int r) {
      std::vector<int64_t> in, out(2 * n);
      for (int p = 0; p < n; ++p) {
        in.push_back(round + 1000 * r + p);
        in.push_back(-(round + 1000 * r + p));
      }
      Communicator& comm = group.rank(r);
      comm.wait(comm.all_to_all(in, out));
      received[r] = out;
    });
    for (int r = 0; r < n; ++r) {
      for (int p = 0; p < n; ++p) {
        EXPECT_EQ(received[r][2 * p], round + 1000 * p + r);
        EXPECT_EQ(received[r][2 * p + 1], -(round + 1000 * p + r));
      }
    }
  }
}

TEST_P(Exchange, OfRowsKeepsEveryRowOnceAndReturnsItUnchanged) {
  const int n = GetParam();
  constexpr int64_t kWidth = 3;
  Group group(n);
  for (uint32_t round = 0; round < 20; ++round) {
    const Table rows = traffic(n, round);
    std::vector<std::vector<int64_t>> arrived(n);  // stamps, by rank
    group.run_all([&](int r) {
      const std::vector<int64_t> send = rows[r], recv = column(rows, r);
      std::vector<int64_t> mine, got(sum(recv) * kWidth, -1), back(sum(send) * kWidth, -1);
      for (int p = 0; p < n; ++p) {
        for (int64_t i = 0; i < send[p]; ++i) {
          for (int64_t j = 0; j < kWidth; ++j) mine.push_back(((r * 100 + p) * 1000 + i) * 10 + j);
        }
      }
      Communicator& comm = group.rank(r);
      comm.wait(comm.all_to_all_v(mine.data(), got.data(), {send, recv}, kWidth * 8));
      comm.wait(comm.all_to_all_v(got.data(), back.data(), {recv, send}, kWidth * 8));
      EXPECT_EQ(back, mine);
      arrived[r] = got;
    });
    for (int r = 0; r < n; ++r) {
      std::vector<int64_t> expected;
      for (int p = 0; p < n; ++p) {
        for (int64_t i = 0; i < rows[p][r]; ++i) {
          for (int64_t j = 0; j < kWidth; ++j)
            expected.push_back(((p * 100 + r) * 1000 + i) * 10 + j);
        }
      }
      EXPECT_EQ(arrived[r], expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, Exchange, testing::Values(1, 2, 3, 8));

// The error of a rank, taken apart.
struct Seen {
  CommError::Kind kind{};
  std::string op, text;
  uint64_t sequence = 0;
  int suspect = -2;
};
Seen seen(const std::exception_ptr& e) {
  if (!e) return {};
  try {
    std::rethrow_exception(e);
  } catch (const CommError& c) {
    return {c.kind(), c.op(), c.what(), c.sequence(), c.suspect()};
  } catch (...) {
    return {};
  }
}

void exchange_counts(Communicator& comm) {
  std::vector<int64_t> in(comm.size(), 1), out(comm.size());
  comm.wait(comm.all_to_all(in, out));
}

TEST(CommFailure, OfOneRankWakesTheOthersAndNamesIt) {
  Group group(4);
  const auto errors = group.run([&](int r) {
    Communicator& comm = group.rank(r);
    exchange_counts(comm);
    if (r == 2) {
      comm.abort("out of luck");
      throw std::runtime_error("its own");
    }
    exchange_counts(comm);
  });
  for (int r : {0, 1, 3}) {
    const Seen s = seen(errors[r]);
    EXPECT_EQ(s.kind, CommError::Kind::aborted);
    EXPECT_EQ(s.op, "all_to_all");
    EXPECT_EQ(s.sequence, 2u);
    EXPECT_EQ(s.suspect, 2);
    EXPECT_NE(s.text.find("out of luck"), std::string::npos) << s.text;
  }
  // The group stays dead.
  EXPECT_THROW(exchange_counts(group.rank(0)), CommError);
  EXPECT_THROW(exchange_counts(group.rank(2)), CommError);
}

TEST(CommFailure, OfARankThatNeverComesIsATimeoutThatNamesIt) {
  Group group(3, std::chrono::milliseconds(100));
  const auto errors = group.run([&](int r) {
    if (r != 1) exchange_counts(group.rank(r));
  });
  EXPECT_FALSE(errors[1]);
  int timeouts = 0;
  for (int r : {0, 2}) {
    const Seen s = seen(errors[r]);
    EXPECT_EQ(s.suspect, 1);
    EXPECT_EQ(s.sequence, 1u);
    EXPECT_EQ(s.op, "all_to_all");
    timeouts += s.kind == CommError::Kind::timeout;  // the other rank may hear of it from this one
  }
  EXPECT_GE(timeouts, 1);
}

TEST(CommFailure, OfCountsThatDisagreeIsFoundByBothEnds) {
  Group group(3);
  const auto errors = group.run([&](int r) {
    std::vector<int64_t> send(3, 2), recv(3, 2);
    if (r == 0) recv[2] = 1;  // rank 2 sends it 2
    std::vector<int64_t> in(6), out(6);
    Communicator& comm = group.rank(r);
    comm.wait(comm.all_to_all_v(in.data(), out.data(), {send, recv}, 8));
  });
  int found = 0;
  for (int r = 0; r < 3; ++r) {
    const Seen s = seen(errors[r]);
    EXPECT_EQ(s.op, "all_to_all_v") << r;
    EXPECT_TRUE(s.suspect == 0 || s.suspect == 2) << r;
    found += s.kind == CommError::Kind::mismatch;
  }
  EXPECT_GE(found, 1);
}

TEST(CommFailure, OfRanksThatCallDifferentOperationsIsFound) {
  Group group(2);
  const auto errors = group.run([&](int r) {
    Communicator& comm = group.rank(r);
    if (r == 0) return exchange_counts(comm);
    const std::vector<int64_t> none(2);
    comm.wait(comm.all_to_all_v(nullptr, nullptr, {none, none}, 8));
  });
  // Whoever looks first holds the other one responsible, and tells it so.
  const Seen a = seen(errors[0]), b = seen(errors[1]);
  const bool first_is_0 = a.kind == CommError::Kind::mismatch;
  const Seen &finder = first_is_0 ? a : b, &told = first_is_0 ? b : a;
  EXPECT_EQ(finder.kind, CommError::Kind::mismatch);
  EXPECT_EQ(told.kind, CommError::Kind::aborted);
  EXPECT_EQ(finder.suspect, first_is_0 ? 1 : 0);
  EXPECT_EQ(told.suspect, finder.suspect);
}

// A rank that fails may free what it was sending at once.
TEST(CommFailure, WaitsForThoseWhoStillReadTheFailedRanksRows) {
  for (int round = 0; round < 50; ++round) {
    Group group(3);
    std::atomic<int> failed{0};
    group.run([&](int r) {
      const int64_t rows = 2000;
      const std::vector<int64_t> even(3, rows);
      std::vector<int64_t> send = even;
      if (r == 1 && round % 2 == 0) send[2] = rows - 1;
      auto in = std::make_unique<std::vector<int64_t>>(3 * rows, r);
      std::vector<int64_t> out(3 * rows);
      Communicator& comm = group.rank(r);
      try {
        const auto ticket = comm.all_to_all_v(in->data(), out.data(), {send, even}, 8);
        if (r == 1 && round % 2 == 1) {
          comm.abort("between post and wait");
          throw std::runtime_error("its own");
        }
        comm.wait(ticket);
      } catch (const std::exception&) {
        ++failed;
      }
      in.reset();
    });
    EXPECT_GE(failed.load(), 2);
  }
}

TEST(SelfCommunicator, MovesNothingInPlaceAndRefusesUnequalCounts) {
  engine::SelfCommunicator self;
  std::vector<int64_t> rows = {1, 2, 3};
  const std::vector<int64_t> three = {3}, two = {2};
  self.wait(self.all_to_all_v(rows.data(), rows.data(), {three, three}, 8));
  EXPECT_EQ(rows, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_THROW(self.all_to_all_v(rows.data(), rows.data(), {three, two}, 8), CommError);
  EXPECT_THROW(exchange_counts(self), CommError);
}

}  // namespace
