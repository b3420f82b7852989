// Owns Communicator: the exchanges of rows between the ranks of an expert-parallel group, and the
// typed error that ends them on every rank.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace engine {

// An exchange that did not end. It names the operation, its number since the group began (the same
// on every rank) and the rank that is held responsible (-1: not known).
class CommError : public std::runtime_error {
 public:
  enum class Kind : uint8_t {
    timeout,   // the suspect did not come within the deadline
    mismatch,  // the suspect came with another operation, or with other counts
    aborted    // the suspect gave up, or was found out by another rank
  };
  CommError(Kind, std::string_view op, uint64_t sequence, int suspect, std::string_view detail);

  Kind kind() const { return kind_; }
  const std::string& op() const { return op_; }
  uint64_t sequence() const { return sequence_; }
  int suspect() const { return suspect_; }

 private:
  Kind kind_;
  std::string op_;
  uint64_t sequence_;
  int suspect_;
};

// Rows per peer, both of size() entries.
struct RowCounts {
  std::span<const int64_t> send, recv;
};

// One rank's end. Every rank calls the same operations in the same order, from one thread, and
// waits for one before it starts the next; buffers belong to the operation until then. After a
// CommError the group is dead and every further call throws.
class Communicator {
 public:
  // What wait() needs to know of an operation under way.
  struct Ticket {
    uint64_t sequence = 0;
  };

  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // in and out hold size() parts of equal length: part p of `in` goes to rank p, part p of `out`
  // comes from it.
  virtual Ticket all_to_all(std::span<const int64_t> in, std::span<int64_t> out) = 0;

  // Sends counts.send[p] rows to rank p, from `in` where they follow each other by p; receives
  // counts.recv[p] rows to `out` likewise. Both ends of a pair must name the same number. With one
  // rank in == out is allowed and moves nothing.
  virtual Ticket all_to_all_v(const void* in, void* out, RowCounts counts, int64_t row_bytes) = 0;

  // Throws CommError.
  virtual void wait(Ticket) = 0;

  // Ends the group: every rank's pending and later call throws CommError naming this rank.
  virtual void abort(std::string_view why) noexcept = 0;
};

}  // namespace engine
