// A module of a later moeval: its table begins as ours does, and nothing else of it is known.
#include "kernels/device_table.h"

extern "C" __attribute__((visibility("default"))) const MoevalDeviceTable* moeval_device_table() {
  static constexpr MoevalDeviceTable kTable = {
      .abi = MOEVAL_DEVICE_ABI + 1,
      .bytes = sizeof(MoevalDeviceTable),
  };
  return &kTable;
}
