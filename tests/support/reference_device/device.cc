#include "tests/support/reference_device/device.h"

#include <utility>

using reference_device::DeviceError;

void MoevalDevice::submit(std::function<void()> op) {
  if (recording) {
    recording->ops.push_back(std::move(op));
  } else {
    op();
  }
}

void MoevalDevice::outside_capture(const char* what) {
  if (!recording) return;
  spoilt = true;
  throw DeviceError(std::string(what) + ": operation not permitted when stream is capturing");
}

void MoevalDevice::capture_begin() {
  outside_capture("graph capture");
  recording = std::make_unique<MoevalGraph>();
  spoilt = false;
}

std::unique_ptr<MoevalGraph> MoevalDevice::capture_end() {
  if (!recording) throw DeviceError("end of graph capture: no capture was begun");
  std::unique_ptr<MoevalGraph> made = std::move(recording);
  if (spoilt) {
    throw DeviceError("end of graph capture: a call during the capture invalidated it");
  }
  return made;
}

void MoevalDevice::launch(const MoevalGraph& graph) {
  outside_capture("graph launch");
  for (const auto& op : graph.ops) op();
}
