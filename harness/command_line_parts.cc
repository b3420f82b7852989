#include "harness/command_line_parts.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>

#include "harness/exit_code.h"

namespace harness {
namespace {

const std::map<std::string, Format> kFormats = {
    {"table", Format::table}, {"md", Format::markdown}, {"json", Format::json}};
const std::map<std::string, engine::DeviceType> kDeviceTypes = {{"bf16", engine::DeviceType::bf16},
                                                                {"f16", engine::DeviceType::f16},
                                                                {"f32", engine::DeviceType::f32}};

}  // namespace

CLI::App* add(CLI::App& app, const char* name, const char* about, const char* example) {
  auto* sub = app.add_subcommand(name, about);
  sub->footer(fmt::format("Example:\n  {}\n\n{}", example, exit_code_help()));
  return sub;
}

void add_format(CLI::App* sub, Format& format) {
  sub->add_option("--format", format, "table, md or json")
      ->transform(CLI::CheckedTransformer(kFormats).description(""))
      ->option_text("table|md|json");
}

void add_device(CLI::App* sub, DeviceChoice& device) {
  const auto named = [](const std::string& name) {
    return is_device_name(name) ? "" : fmt::format("'{}': want {}", name, kDeviceNames);
  };
  sub->add_option("--device", device.name,
                  "where the model computes; auto: the first GPU if it holds the model, else the "
                  "CPU")
      ->check(named)
      ->option_text("cpu|cuda:N|auto [cpu]");
  sub->add_option("--device-dtype", device.type,
                  "type of weights, keys, values and activations on a GPU")
      ->transform(CLI::CheckedTransformer(kDeviceTypes).description(""))
      ->option_text("bf16|f16|f32 [bf16]");
}

void add_db(CLI::App* sub, std::string& db) {
  sub->add_option("--db", db, "SQLite file of the results")->capture_default_str();
}

void add_data(CLI::App* sub, std::string& data, bool& allow_unverified) {
  sub->add_option("--data", data,
                  "folder of official data, or 'embedded' for the built-in suites (default: "
                  "MOEVAL_DATA, the cache, then built-in)");
  sub->add_flag("--allow-unverified", allow_unverified,
                "accept data files whose sha256 is not pinned; the rows say so");
}

}  // namespace harness
