#include <fmt/format.h>
#include <sys/statvfs.h>

#include <nlohmann/json.hpp>

#include "datasets/catalog.h"
#include "harness/asset.h"
#include "harness/commands.h"
#include "harness/device_choice.h"
#include "harness/environment.h"
#include "harness/exit_code.h"
#include "harness/places.h"
#include "harness/pull.h"
#include "harness/text_table.h"
#include "kernels/device.h"
#include "kernels/power_meter.h"
#include "tasks/sandbox.h"

namespace harness {
namespace {

namespace fs = std::filesystem;

struct Finding {
  std::string what, state, detail;  // state: ok, missing, note
};

Finding sandbox_finding(int tier) {
  try {
    const auto sandbox = tasks::Sandbox::start(tier, 1);
    const auto& i = sandbox->info();
    return {"sandbox", "ok",
            fmt::format("tier {}, Landlock ABI {}, {} ({}), machine factor {:.2f}", i.tier,
                        i.landlock_abi, i.interpreter, i.interpreter_version,
                        sandbox->machine_factor())};
  } catch (const tasks::SandboxUnavailable& e) {
    return {"sandbox", "missing", fmt::format("{}; HumanEval cannot run here", e.what())};
  }
}

Finding data_finding(const std::string& name, const std::vector<fs::path>& roots) {
  try {
    const auto data = datasets::load(name, roots);
    if (data.origin == "embedded")
      return {"data " + name, "note",
              fmt::format("official files not found, the built-in suite of {} stands in; "
                          "moeval pull {}, or set MOEVAL_DATA",
                          data.samples.size(), name)};
    return {"data " + name, "ok", fmt::format("{} {} samples", data.samples.size(), data.origin)};
  } catch (const std::exception& e) {  // the main job does not need it
    return {"data " + name, "note", e.what()};
  }
}

Finding disk_finding(const fs::path& folder) {
  fs::path existing = folder;
  while (!existing.empty() && !fs::exists(existing)) existing = existing.parent_path();
  struct statvfs v {};
  if (statvfs(existing.c_str(), &v) != 0) return {"disk", "missing", existing.string()};
  const double free = static_cast<double>(v.f_bavail) * static_cast<double>(v.f_frsize);
  return {"disk", free > 1e9 ? "ok" : "note",
          fmt::format("{}B free under {}", si(free), folder.string())};
}

// What to do about a module that did not load.
const char* module_advice(const std::string& why) {
  std::error_code ignored;
  if (!fs::exists(kernels::DeviceModule::default_path(), ignored))
    return "build where nvcc is, or name a module in MOEVAL_CUDA_MODULE";
  if (why.find("cannot open shared object") != std::string::npos)
    return "install that library, or add its folder to LD_LIBRARY_PATH";
  return "build it anew, with this program";
}

Finding gpu_finding(const std::shared_ptr<const kernels::DeviceModule>& module, int index,
                    const std::string& driver) {
  const std::string what = fmt::format("gpu cuda:{}", index);
  try {
    const auto i = kernels::Device::open(module, index)->info();
    return {what, "ok",
            fmt::format("{}, compute capability {}.{}, {}B of {}B free, {}CUDA {}, cuBLAS {}",
                        i.name, i.major, i.minor, si(static_cast<double>(i.free_bytes)),
                        si(static_cast<double>(i.total_bytes)), driver, cuda_version(i.driver),
                        cublas_version(i.blas))};
  } catch (const kernels::DeviceError& e) {
    return {what, "note", e.what()};
  }
}

// Every GPU, or why there is none and the next step. The CPU does without.
std::vector<Finding> gpu_findings() {
  const auto none = [](const std::string& why, const char* advice) {
    return std::vector<Finding>{
        {"gpu", "note", fmt::format("{}; {}; --device cpu computes here", why, advice)}};
  };
  std::shared_ptr<const kernels::DeviceModule> module;
  try {
    module = kernels::DeviceModule::load();
  } catch (const kernels::DeviceError& e) {
    return none(e.what(), module_advice(e.what()));
  }
  const char* const kDriverAdvice = "nvidia-smi shows whether NVIDIA's driver is there";
  try {
    std::string driver = kernels::gpu_driver_version();
    if (!driver.empty()) driver = fmt::format("driver {} of ", driver);
    std::vector<Finding> all;
    for (int i = 0; i < module->count(); ++i) all.push_back(gpu_finding(module, i, driver));
    return all.empty() ? none("the driver reports no GPU", kDriverAdvice) : all;
  } catch (const kernels::DeviceError& e) {
    return none(e.what(), kDriverAdvice);
  }
}

}  // namespace

int command_doctor(const DoctorOptions& o) {
  std::vector<Finding> findings;
  findings.push_back(sandbox_finding(o.sandbox_tier));  // first: it forks
  const auto env = read_environment();
  findings.push_back(
      {"program", "ok",
       fmt::format("moeval {} {}{} ({}, {})", env.tool_version, env.git_sha.substr(0, 12),
                   env.git_dirty ? "+changes" : "", env.compiler, env.build_type)});
  findings.push_back(
      {"machine", "ok",
       fmt::format("{}; {}; {} with {} cores, {}B memory", env.os, env.kernel, env.cpu_model,
                   env.cpu_cores, si(static_cast<double>(env.ram_bytes)))});
  findings.push_back({"kernels", "ok", env.instruction_set});
  for (auto& f : gpu_findings()) findings.push_back(std::move(f));
  std::vector<fs::path> roots;
  for (const auto& r : data_folders(""))
    if (fs::is_directory(r)) roots.push_back(r);
  for (const char* name : {"mmlu", "humaneval", "humaneval_plus"})
    findings.push_back(data_finding(name, roots));
  for (const Asset& a : assets()) {
    if (a.kind != Asset::Kind::model) continue;
    const auto state = state_of(a, cache_folder());
    findings.push_back({"model " + a.name, state == PullState::present ? "ok" : "missing",
                        state == PullState::present  ? (cache_folder() / a.path).string()
                        : state == PullState::absent ? "moeval pull " + a.name
                                                     : "damaged; moeval pull " + a.name});
  }
  findings.push_back(disk_finding(cache_folder()));

  bool missing = false;
  TextTable table({{"what"}, {"state"}, {"detail"}});
  auto json = nlohmann::json::array();
  for (const auto& f : findings) {
    missing |= f.state == "missing";
    table.add({f.what, f.state, f.detail});
    json.push_back({{"what", f.what}, {"state", f.state}, {"detail", f.detail}});
  }
  if (o.format == Format::json)
    fmt::print("{}\n", json.dump(2));
  else
    fmt::print("{}", o.format == Format::markdown ? table.markdown() : table.terminal());
  return missing ? kIncomplete : kOk;
}

}  // namespace harness
