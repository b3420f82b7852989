#include "harness/environment.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "datasets/sha256.h"
#include "harness/build_info.h"
#include "harness/device_choice.h"
#include "kernels/isa.h"
#include "kernels/power_meter.h"

namespace harness {
namespace {

std::string field_of(const char* file, const std::string& key, char separator) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line))
    if (line.compare(0, key.size(), key) == 0) {
      auto at = line.find(separator);
      if (at == std::string::npos) continue;
      auto value = line.substr(at + 1);
      const auto first = value.find_first_not_of(" \t\"");
      const auto last = value.find_last_not_of(" \t\"");
      return first == std::string::npos ? "" : value.substr(first, last - first + 1);
    }
  return "";
}

}  // namespace

Environment read_environment() {
  Environment e;
  utsname u{};
  if (uname(&u) == 0) {
    e.kernel = fmt::format("{} {}", u.sysname, u.release);
    e.host = u.nodename;
  }
  e.os = field_of("/etc/os-release", "PRETTY_NAME", '=');
  e.cpu_model = field_of("/proc/cpuinfo", "model name", ':');
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  e.cpu_cores = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  e.ram_bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  e.instruction_set = std::string(kernels::isa());
  e.compiler = build::kCompiler;
  e.build_flags = build::kFlags;
  e.build_type = build::kType;
  e.tool_version = build::kVersion;
  e.git_sha = build::kGitSha;
  e.git_dirty = build::kGitDirty;
  e.binary_sha256 = datasets::sha256_file("/proc/self/exe");
  return e;
}

void add_gpu(const engine::DeviceFacts& device, Environment* e) {
  if (device.device == "cpu") return;
  e->gpu_model = device.name;
  e->gpu_count = 1;
  const std::string driver = kernels::gpu_driver_version();
  e->gpu_driver = driver.empty() ? "CUDA " + harness::cuda_version(device.driver) : driver;
  e->cuda_version = harness::cuda_version(device.runtime);
}

std::string Environment::fingerprint() const {
  std::string all =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", os, kernel, cpu_model, cpu_cores, ram_bytes,
                  instruction_set, compiler, build_flags, build_type);
  // Without a GPU it is what it was before there were any.
  if (gpu_model)
    all += fmt::format("\n{}\n{}\n{}\n{}", *gpu_model, gpu_count, gpu_driver.value_or(""),
                       cuda_version.value_or(""));
  return datasets::sha256_hex(all);
}

}  // namespace harness
