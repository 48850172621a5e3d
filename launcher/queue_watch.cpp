#include "launcher/queue_watch.h"

#include <chrono>
#include <exception>
#include <utility>

#include <spdlog/spdlog.h>

namespace limewash::launcher {

namespace {

constexpr std::chrono::milliseconds kPauseBetweenLooks{50};

bool look_safely(const std::function<bool()>& look) {
  try {
    return look();
  } catch (const std::exception& error) {
    spdlog::debug("evaluation queue: {}", error.what());
    return true;
  }
}

}  // namespace

QueueWatch::QueueWatch(std::function<bool()> look)
    : thread_([this, look = std::move(look)] {
        while (!done_ && look_safely(look)) std::this_thread::sleep_for(kPauseBetweenLooks);
      }) {}

QueueWatch::~QueueWatch() {
  done_ = true;
  thread_.join();
}

}  // namespace limewash::launcher
