// A module on a machine without a usable GPU: counting the devices fails, as CUDA's call does
// there.
#include "kernels/device_table.h"

namespace {

const char* last_error() {
  return "cudaGetDeviceCount: CUDA driver version is insufficient for CUDA runtime version";
}

int count(int32_t* n) {
  *n = 0;
  return 1;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const MoevalDeviceTable* moeval_device_table() {
  static constexpr MoevalDeviceTable kTable = {
      .abi = MOEVAL_DEVICE_ABI,
      .bytes = sizeof(MoevalDeviceTable),
      .last_error = last_error,
      .count = count,
  };
  return &kTable;
}
