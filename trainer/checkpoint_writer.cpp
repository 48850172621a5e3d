#include "trainer/checkpoint_writer.h"

#include <chrono>
#include <exception>
#include <utility>

#include <spdlog/spdlog.h>

namespace limewash::trainer {

CheckpointWriter::~CheckpointWriter() {
  try {
    wait();
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
  }
}

void CheckpointWriter::start(std::function<void()> write) {
  wait();
  under_way_ = std::async(std::launch::async, std::move(write));
}

void CheckpointWriter::check() {
  if (under_way_.valid() &&
      under_way_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
    under_way_.get();
  }
}

void CheckpointWriter::wait() {
  if (under_way_.valid()) under_way_.get();
}

}  // namespace limewash::trainer
