// Owns SelfCommunicator: a group of one rank. What is sent is what is received.
#pragma once

#include "engine/comm/communicator.h"

namespace engine {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Ticket all_to_all(std::span<const int64_t> in, std::span<int64_t> out) override;
  Ticket all_to_all_v(const void* in, void* out, RowCounts counts, int64_t row_bytes) override;
  void wait(Ticket) override;
  void abort(std::string_view why) noexcept override;

 private:
  void begin(std::string_view op);

  std::string op_, why_;
  uint64_t sequence_ = 0;
  bool dead_ = false;
};

}  // namespace engine
