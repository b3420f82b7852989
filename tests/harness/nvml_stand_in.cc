// NVML of a machine with one GPU, that of tests/support/reference_device; its counter grows by 5 J
// with every reading.
#include <cstdio>
#include <cstring>

namespace {

constexpr const char* kUuid = "GPU-00000000-0000-0000-0000-000000000000";
constexpr int kNotFound = 6;
int gpu;

}  // namespace

#define MOEVAL_EXPORT __attribute__((visibility("default")))

extern "C" {

MOEVAL_EXPORT int nvmlInit_v2() { return 0; }
MOEVAL_EXPORT const char* nvmlErrorString(int code) {
  return code == kNotFound ? "Not Found" : "Unknown Error";
}
MOEVAL_EXPORT int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  if (std::strcmp(uuid, kUuid) != 0) return kNotFound;
  *device = &gpu;
  return 0;
}
MOEVAL_EXPORT int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* mj) {
  static unsigned long long total = 1'000'000;
  if (device != &gpu) return kNotFound;
  *mj = total += 5000;
  return 0;
}
MOEVAL_EXPORT int nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  std::snprintf(version, length, "580.159.04");
  return 0;
}

}  // extern "C"
