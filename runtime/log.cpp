#include "runtime/log.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "runtime/progress_line.h"

namespace limewash {

namespace {

// Clears the progress bar off the line before a message is written there.
class StderrSink final : public spdlog::sinks::ansicolor_stderr_sink_mt {
 public:
  void log(const spdlog::details::log_msg& message) override {
    erase_progress_line();
    spdlog::sinks::ansicolor_stderr_sink_mt::log(message);
  }
};

spdlog::level::level_enum parse_level(const std::string& name) {
  constexpr std::array<std::pair<const char*, spdlog::level::level_enum>, 4> kLevels{{
      {"debug", spdlog::level::debug},
      {"info", spdlog::level::info},
      {"warn", spdlog::level::warn},
      {"error", spdlog::level::err},
  }};
  for (const auto& [known, level] : kLevels) {
    if (name == known) return level;
  }
  throw ConfigError("log level = " + name + ": expected debug, info, warn or error");
}

}  // namespace

void configure_logging(const std::string& level, int rank, int world_size) {
  auto threshold = parse_level(level);
  if (rank != 0) threshold = std::max(threshold, spdlog::level::warn);
  auto logger = std::make_shared<spdlog::logger>("limewash", std::make_shared<StderrSink>());
  const std::string who =
      world_size > 1 ? "[rank " + std::to_string(rank) + "/" + std::to_string(world_size) + "] "
                     : "";
  logger->set_pattern("%H:%M:%S.%e %^%l%$ " + who + "%v");
  logger->set_level(threshold);
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace limewash
