#include "harness/commands.h"
#include "harness/stored_runs.h"
namespace harness {
int command_leaderboard(const LeaderboardOptions&) { return 0; }
int command_export(const ExportOptions&) { return 0; }
int command_verify(const VerifyOptions&) { return 0; }
int command_rescore(const RescoreOptions&) { return 0; }
}  // namespace harness
