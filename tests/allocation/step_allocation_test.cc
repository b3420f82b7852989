// A decode step allocates nothing: counted by operator new, which this program replaces.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <optional>

#include "engine/engine.h"
#include "engine/random_checkpoint.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};

void* counted(std::size_t n) {
  if (counting.load(std::memory_order_relaxed)) ++allocations;
  void* p = std::malloc(n == 0 ? 1 : n);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(std::size_t n) { return counted(n); }
void* operator new[](std::size_t n) { return counted(n); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace {

// What the steps from a stream's 10th to its 50th token allocate, so many streams decoding
// together. Prompts end behind the first block of keys and values, and no step reaches the third:
// blocks are memory that grows, not scratch.
int64_t allocations_of_decode(const char* shape, int64_t streams) {
  const auto checkpoint =
      engine::make_random_checkpoint(engine::named_shape(shape), kernels::Dtype::f16, 1);
  engine::EngineOptions options;
  options.threads = 2;
  const auto engine = engine::Engine::load(*checkpoint, options);
  allocations = 0;
  int64_t next = 0, tokens = 0;
  const std::atomic<bool> stop{false};
  engine->run(
      [&]() -> std::optional<engine::Request> {
        if (next == streams) return std::nullopt;
        engine::Request r;
        r.id = static_cast<uint64_t>(next++);
        for (int i = 0; i < 66; ++i) {
          r.tokens.push_back(
              static_cast<engine::TokenId>((7 * i + 13 * static_cast<int>(r.id)) % 500));
        }
        r.budget = engine->trained_budget();
        r.budget.k =
            std::min<int32_t>(engine->config().moe.max_k(), 1 + 3 * static_cast<int32_t>(r.id));
        r.max_new_tokens = 55;
        if (r.id == 0) {
          r.on_token = [&](std::span<const engine::TokenId> generated) {
            tokens = static_cast<int64_t>(generated.size());
            counting = tokens >= 10 && tokens < 50;
            return true;
          };
        }
        return r;
      },
      [](engine::Completion) {}, stop);
  EXPECT_EQ(tokens, 55);
  return allocations;
}

TEST(StepAllocation, TheCounterCounts) {
  allocations = 0;
  counting = true;
  delete new int(1);
  counting = false;
  EXPECT_EQ(allocations, 1);
}

TEST(StepAllocation, DenseDecodeAllocatesNothing) {
  EXPECT_EQ(allocations_of_decode("smollm2-135m:2", 1), 0);
  EXPECT_EQ(allocations_of_decode("smollm2-135m:2", 5), 0);
}

TEST(StepAllocation, DecodeOfMixedBudgetsAllocatesNothing) {
  EXPECT_EQ(allocations_of_decode("smollm2-135m-nested:2", 1), 0);
  EXPECT_EQ(allocations_of_decode("smollm2-135m-nested:2", 5), 0);
}

}  // namespace
