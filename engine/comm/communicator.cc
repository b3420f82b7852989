#include "engine/comm/communicator.h"

#include <fmt/format.h>

namespace engine {
namespace {

std::string message(CommError::Kind kind, std::string_view op, uint64_t sequence, int suspect,
                    std::string_view detail) {
  static constexpr const char* kKinds[] = {"timed out", "does not match", "was aborted"};
  const std::string who = suspect < 0 ? "rank unknown" : fmt::format("rank {}", suspect);
  return fmt::format("exchange {} ({}) {}, {}: {}", sequence, op, kKinds[static_cast<int>(kind)],
                     who, detail);
}

}  // namespace

CommError::CommError(Kind kind, std::string_view op, uint64_t sequence, int suspect,
                     std::string_view detail)
    : std::runtime_error(message(kind, op, sequence, suspect, detail)),
      kind_(kind),
      op_(op),
      sequence_(sequence),
      suspect_(suspect) {}

}  // namespace engine
