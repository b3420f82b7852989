// Owns ThreadsGroup: ranks that are threads of one process and exchange rows through its memory.
#pragma once

#include <chrono>
#include <memory>

#include "engine/comm/communicator.h"

namespace engine {

// Each rank is driven by a thread of its own. A rank copies what it receives straight out of the
// senders' buffers, so one exchange is two meetings: all have posted, all have copied. A rank that
// does not come to a meeting within `deadline` ends the group.
class ThreadsGroup {
 public:
  ThreadsGroup(int ranks, std::chrono::milliseconds deadline);
  ~ThreadsGroup();

  int size() const;
  Communicator& rank(int r);

 private:
  struct State;
  class Rank;
  std::unique_ptr<State> state_;
};

}  // namespace engine
