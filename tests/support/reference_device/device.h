// Owns the reference device's stream: ops run at once, or are recorded into a graph.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/device_table.h"
#include "tests/support/reference_device/memory.h"

struct MoevalGraph {
  std::vector<std::function<void()>> ops;
};

struct MoevalDevice {
  reference_device::Memory memory;
  std::array<std::chrono::steady_clock::time_point, 16> marks{};  // the epoch: none yet
  std::unique_ptr<MoevalGraph> recording;                         // of the capture under way
  bool spoilt = false;  // the capture met a call that cannot be captured

  // Runs op, or records it. It must hold its arguments by value.
  void submit(std::function<void()> op);
  // Of a call that cannot be captured: throws during a capture, which is spoilt by it.
  void outside_capture(const char* what);

  void capture_begin();
  std::unique_ptr<MoevalGraph> capture_end();
  void launch(const MoevalGraph&);
};
