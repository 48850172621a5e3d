#pragma once
// A run folder that goes away with the test, the messages of the test, and an environment without a
// tracker.

#include <filesystem>
#include <memory>
#include <mutex>
#include <stdlib.h>
#include <string>

#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "tracking/journal.h"

namespace limewash::tracking {

/// Keeps what is logged; threads may log while the test reads.
class MemorySink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    text_.append(line.data(), line.size());
  }
  void flush_() override {}

 private:
  std::string text_;
};

class RunFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "limewash-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    folder_ = root_ / "run";
    std::filesystem::create_directory(folder_);
    for (const char* variable : {"MLFLOW_TRACKING_URI",
                                 "MLFLOW_TRACKING_USERNAME",
                                 "MLFLOW_TRACKING_PASSWORD",
                                 "MLFLOW_TRACKING_TOKEN",
                                 "MLFLOW_HTTP_REQUEST_TIMEOUT",
                                 "MLFLOW_EXPERIMENT_NAME",
                                 "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING",
                                 "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL",
                                 "MLFLOW_SYSTEM_METRICS_NODE_ID",
                                 "MLFLOW_WORKSPACE"}) {
      unsetenv(variable);
    }
    setenv("HOME", root_.c_str(), 1);
    previous_ = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
  }

  void TearDown() override {
    spdlog::set_default_logger(previous_);
    std::filesystem::remove_all(root_);
  }

  std::string log() const {
    return sink_->text();
  }

  size_t log_count(const std::string& text) const {
    size_t count = 0;
    const std::string all = log();
    for (size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
    return count;
  }

  std::vector<Entry> entries(const std::string& writer = "trainer") const {
    JournalReader reader(journal_path(folder_, writer));
    std::vector<Entry> list;
    for (auto& item : reader.read(size_t{64} << 20).items) list.push_back(item.entry);
    return list;
  }

  std::filesystem::path root_, folder_;

 private:
  std::shared_ptr<MemorySink> sink_ = std::make_shared<MemorySink>();
  std::shared_ptr<spdlog::logger> previous_;
};

}  // namespace limewash::tracking
