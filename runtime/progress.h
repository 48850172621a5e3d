#pragma once
// Progress of a long loop on stderr: a bar with rate and remaining time on a terminal, a plain line
// every few seconds elsewhere, nothing on ranks other than 0.

#include <chrono>
#include <cstdint>
#include <string>

namespace limewash {

class Progress {
 public:
  /// `total` steps of `unit`, of which `done` were finished before (a resumed run).
  Progress(std::string title, int64_t total, std::string unit, bool visible, int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Count `steps` more; `note` (a loss, a file) stands at the end of the line.
  void advance(int64_t steps = 1, const std::string& note = "");
  /// Draw the last state and end the line. The destructor does it too.
  void finish();

 private:
  void draw(bool last);
  std::string title_, unit_, note_;
  int64_t total_, done_, start_;
  bool visible_, terminal_, finished_ = false;
  std::chrono::steady_clock::time_point begin_, drawn_;
};

}  // namespace limewash
