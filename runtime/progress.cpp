#include "runtime/progress.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "runtime/heartbeat.h"
#include "runtime/progress_line.h"

namespace limewash {

namespace {

std::atomic<bool> bar_on_line{false};

std::string duration_text(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(std::min(seconds, 1e9)));
  char text[64];
  if (total >= 3600) {
    std::snprintf(text,
                  sizeof text,
                  "%lld:%02lld:%02lld",
                  static_cast<long long>(total / 3600),
                  static_cast<long long>(total / 60 % 60),
                  static_cast<long long>(total % 60));
  } else {
    std::snprintf(text,
                  sizeof text,
                  "%lld:%02lld",
                  static_cast<long long>(total / 60),
                  static_cast<long long>(total % 60));
  }
  return text;
}

std::string rate_text(double rate) {
  char text[64];
  std::snprintf(text, sizeof text, rate < 10 ? "%.2f" : rate < 100 ? "%.1f" : "%.0f", rate);
  return text;
}

// Cut on a character's edge: a terminal shows half a UTF-8 sequence as rubbish.
void cut(std::string& line, size_t width) {
  if (line.size() <= width) return;
  while (width > 0 && (static_cast<unsigned char>(line[width]) & 0xC0) == 0x80) --width;
  line.resize(width);
}

size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

}  // namespace

void erase_progress_line() {
  if (bar_on_line.exchange(false)) std::fputs("\r\033[K", stderr);
}

Progress::Progress(std::string title, int64_t total, std::string unit, bool visible, int64_t done)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      start_(done),
      visible_(visible),
      terminal_(isatty(STDERR_FILENO) == 1),
      begin_(std::chrono::steady_clock::now()),
      drawn_(begin_) {}

Progress::~Progress() {
  finish();
}

void Progress::advance(int64_t steps, const std::string& note) {
  done_ += steps;
  if (!note.empty()) note_ = note;
  heartbeat();
  if (!visible_ || finished_) return;
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  if (std::chrono::steady_clock::now() - drawn_ >= pause) draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (visible_) draw(true);
}

void Progress::draw(bool last) {
  drawn_ = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(drawn_ - begin_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - start_) / seconds : 0;
  std::string counts = std::to_string(done_);
  if (total_ > 0) counts += "/" + std::to_string(total_);
  counts += " " + unit_;
  if (rate > 0) counts += ", " + rate_text(rate) + " " + unit_ + "/s";
  if (last) {
    counts += ", took " + duration_text(seconds);
  } else if (rate > 0 && total_ > done_) {
    counts += ", " + duration_text(static_cast<double>(total_ - done_) / rate) + " left";
  }
  if (!note_.empty()) counts += ", " + note_;

  std::string line = title_;
  if (terminal_ && total_ > 0) {
    constexpr int64_t kWidth = 24;
    const auto filled =
        static_cast<size_t>(std::clamp<int64_t>(done_, 0, total_) * kWidth / total_);
    line += " [" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "] " + counts;
  } else {
    line += ": " + counts;
  }
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  cut(line, terminal_width() - 1);
  std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  std::fflush(stderr);
  bar_on_line = !last;
}

}  // namespace limewash
