#include "engine/comm/self.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace engine {

void SelfCommunicator::begin(std::string_view op) {
  ++sequence_;
  op_ = op;
  wait({sequence_});
}

Communicator::Ticket SelfCommunicator::all_to_all(std::span<const int64_t> in,
                                                  std::span<int64_t> out) {
  begin("all_to_all");
  assert(in.size() == out.size());
  std::copy(in.begin(), in.end(), out.begin());
  return {sequence_};
}

Communicator::Ticket SelfCommunicator::all_to_all_v(const void* in, void* out, RowCounts counts,
                                                    int64_t row_bytes) {
  begin("all_to_all_v");
  if (counts.send[0] != counts.recv[0]) {
    abort("sends and receives different numbers of rows");
    throw CommError(CommError::Kind::mismatch, op_, sequence_, 0, why_);
  }
  const auto bytes = static_cast<size_t>(counts.send[0] * row_bytes);
  if (in != out && bytes > 0) std::memcpy(out, in, bytes);
  return {sequence_};
}

void SelfCommunicator::wait(Ticket) {
  if (dead_) throw CommError(CommError::Kind::aborted, op_, sequence_, 0, why_);
}

void SelfCommunicator::abort(std::string_view why) noexcept {
  dead_ = true;
  try {
    why_ = why;
  } catch (...) {  // the reason is lost, the end is not
  }
}

}  // namespace engine
