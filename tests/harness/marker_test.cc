#include "harness/marker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <vector>

namespace {

using harness::Marker;

TEST(Marker, RunsJobsInTheOrderGiven) {
  std::vector<int> order;  // written by the marker's thread, read after finish()
  Marker marker(4);
  for (int i = 0; i < 1000; ++i) marker.submit([&, i] { order.push_back(i); });
  marker.finish();
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  marker.submit([&] { order.push_back(1000); });  // and goes on after finish()
  marker.finish();
  EXPECT_EQ(order.back(), 1000);
}

TEST(Marker, FinishWaitsForTheJobThatRuns) {
  std::atomic<bool> done{false};
  Marker marker;
  marker.submit([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    done = true;
  });
  marker.finish();
  EXPECT_TRUE(done);
}

TEST(Marker, SubmitBlocksWhileTheQueueIsFull) {
  std::atomic<int> submitted{0};
  int most = 0;
  Marker marker(2);
  // One job runs and two wait: a fourth must not get in before the first ends.
  marker.submit([&] {
    while (submitted < 3) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    most = submitted;
  });
  ++submitted;
  for (int i = 0; i < 5; ++i) {
    marker.submit([] {});
    ++submitted;
  }
  marker.finish();
  EXPECT_EQ(most, 3);
}

TEST(Marker, TheFirstExceptionEndsItAndIsThrownToTheCaller) {
  std::atomic<int> ran{0};
  Marker marker(8);
  for (int i = 0; i < 3; ++i) marker.submit([&] { ++ran; });
  marker.finish();
  marker.submit([] { throw std::runtime_error("disk full"); });
  const auto submit_until_thrown = [&] {
    for (int i = 0; i < 100; ++i) marker.submit([&] { ++ran; });  // more than the queue holds
  };
  try {
    submit_until_thrown();
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "disk full");
  }
  EXPECT_THROW(marker.finish(), std::runtime_error);
  EXPECT_EQ(ran, 3);  // nothing after the failure
}

TEST(Marker, ItsEndDropsWhatWaits) {
  std::atomic<int> ran{0};
  std::atomic<bool> go{false};
  {
    Marker marker(8);
    marker.submit([&] {
      while (!go) std::this_thread::yield();
      ++ran;
    });
    go = true;
    marker.finish();
    marker.submit([] { throw 1; });
    EXPECT_ANY_THROW(marker.finish());
  }
  EXPECT_EQ(ran, 1);
}

TEST(Marker, FreesWhatAJobHeldBeforeItIsDone) {
  const auto held = std::make_shared<int>(1);
  Marker marker;
  marker.submit([copy = held] { (void)copy; });
  marker.finish();
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
