// Owns what the parts of the command line share, and the parts that have a file of their own.
#pragma once

#include <functional>
#include <string>

#include "harness/commands.h"

namespace CLI {
class App;
}

namespace harness {

using Command = std::function<int()>;

CLI::App* add(CLI::App&, const char* name, const char* about, const char* example);
void add_format(CLI::App*, Format&);
void add_db(CLI::App*, std::string& db);
void add_device(CLI::App*, DeviceChoice&);
void add_data(CLI::App*, std::string& data, bool& allow_unverified);

void add_comparisons(CLI::App&, CompareOptions&, GateOptions&, AuditOptions&, Command& chosen);
void add_speed(CLI::App&, BenchOptions&, Command& chosen);
void add_training(CLI::App&, TrainOptions&, PredictOptions&, GadgetOptions&, Command& chosen);

}  // namespace harness
