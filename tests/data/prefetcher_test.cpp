#include "data/prefetcher.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace limewash::data {
namespace {

using namespace std::chrono_literals;

TEST(Prefetcher, GivesResultsInOrderWhateverTheWorkers) {
  for (const int64_t workers : {1, 3, 8}) {
    Prefetcher<int64_t> results(
        [](int64_t number) {
          // The later ones are quicker, so that they overtake.
          std::this_thread::sleep_for(std::chrono::microseconds(number % 7 == 0 ? 500 : 10));
          return number * number;
        },
        workers,
        workers + 2);
    for (int64_t i = 0; i < 200; ++i) ASSERT_EQ(results.next(), i * i);
  }
}

TEST(Prefetcher, MakesNothingBeforeItIsAskedAndNoMoreThanItsWindowAhead) {
  std::atomic<int64_t> made = 0;
  Prefetcher<int64_t> results(
      [&](int64_t number) {
        ++made;
        return number;
      },
      3,
      5);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(made, 0);
  for (const int64_t expected : {6, 7, 8}) {
    results.next();
    for (int i = 0; i < 1000 && made < expected; ++i) std::this_thread::sleep_for(5ms);
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(made, expected);
  }
}

TEST(Prefetcher, HoldsNoMoreResultsThanItsWindow) {
  std::atomic<int> alive = 0, most = 0;
  struct Counted {
    std::atomic<int>* alive = nullptr;
    ~Counted() {
      if (alive != nullptr) --*alive;
    }
    Counted(std::atomic<int>& count, std::atomic<int>& largest) : alive(&count) {
      largest = std::max(largest.load(), ++count);
    }
  };
  Prefetcher<std::shared_ptr<Counted>> results(
      [&](int64_t) { return std::make_shared<Counted>(alive, most); }, 4, 6);
  for (int i = 0; i < 500; ++i) {
    results.next();
    if (i % 50 == 0) results.seek(i * 10);
  }
  // The window, and the one that was taken.
  EXPECT_LE(most, 7);
}

TEST(Prefetcher, SeeksWithoutMakingWhatIsBetween) {
  std::atomic<int64_t> made = 0;
  Prefetcher<int64_t> results(
      [&](int64_t number) {
        ++made;
        return number;
      },
      2,
      4);
  EXPECT_EQ(results.next(), 0);
  results.seek(1'000'000);
  EXPECT_EQ(results.next(), 1'000'000);
  EXPECT_EQ(results.next(), 1'000'001);
  results.seek(3);
  EXPECT_EQ(results.next(), 3);
  EXPECT_LT(made, 40);
}

TEST(Prefetcher, ThrowsAtTheResultThatFailedAndGoesOnAfterIt) {
  Prefetcher<int64_t> results(
      [](int64_t number) {
        if (number == 3) throw std::runtime_error("number three");
        return number;
      },
      4,
      8);
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(results.next(), i);
  try {
    results.next();
    FAIL() << "the third should have failed";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()), "number three");
  }
  EXPECT_EQ(results.next(), 4);
}

TEST(Prefetcher, EndsWhileWorkersWaitOrWork) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> gone = false;
    {
      Prefetcher<int> results(
          [&](int64_t number) {
            std::this_thread::sleep_for(std::chrono::microseconds(number % 3 * 100));
            EXPECT_FALSE(gone);
            return 0;
          },
          4,
          3);
      for (int i = 0; i < round % 4; ++i) results.next();
    }
    gone = true;
  }
}

TEST(Prefetcher, SaysHowLongItWasWaitedFor) {
  const auto takes_a_while = [](int64_t) {
    std::this_thread::sleep_for(300ms);
    return 0;
  };
  Prefetcher<int> slow(takes_a_while, 1, 1);
  slow.next();
  EXPECT_GE(slow.waited_seconds(), 0.25);

  // As slow, but its results are there before they are asked for.
  Prefetcher<int> ready(takes_a_while, 4, 4);
  ready.next();
  const double before = ready.waited_seconds();
  std::this_thread::sleep_for(2s);
  for (int i = 0; i < 3; ++i) ready.next();
  EXPECT_LT(ready.waited_seconds() - before, 0.25);
}

}  // namespace
}  // namespace limewash::data
