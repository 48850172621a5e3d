// Records what a script on stdin asks for, so that a test in Python can play a
// training run, kill it, and look at the tracker meanwhile.
//   record FOLDER NAME [PARENT]    then lines: param K V | long_param K LENGTH | tag K V
//   | steps BEGIN END | cost BEGIN END (prints the seconds) | flush | memory |
//                         artifact FILE PATH | image KEY FILE STEP | dataset
//                         CONTEXT NAME DIGEST SOURCE | close
//                         finished|failed|killed SECONDS      (each answered by
//                         "done" on stdout)
//   sync FOLDER           prints how many entries were shipped
// The tracker is MLFLOW_TRACKING_URI.

#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <sys/resource.h>

#include <opencv2/imgcodecs.hpp>

#include "tracking/run_recorder.h"

namespace {

using limewash::tracking::RunRecorder;
using limewash::tracking::RunStatus;

void record_steps(RunRecorder& recorder, int64_t begin, int64_t end) {
  for (int64_t step = begin; step < end; ++step) {
    recorder.metric("train/loss", 1.0 / static_cast<double>(step + 1), step);
    recorder.metric("train/learning rate", 1e-4 * static_cast<double>(step), step);
  }
  recorder.metric("odd/nan", std::numeric_limits<double>::quiet_NaN(), begin);
  recorder.metric("odd/infinity", std::numeric_limits<double>::infinity(), begin);
}

/// The most memory that this process has held, without what its libraries took before `main`.
double grown_megabytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  static const long kAtBegin = usage.ru_maxrss;
  return static_cast<double>(usage.ru_maxrss - kAtBegin) / 1024;
}

int record(const std::string& folder, const std::string& name, const std::string& parent) {
  limewash::tracking::TrackingOptions options;
  options.experiment = "walls & paint";
  options.parent = parent;
  options.note = "**warm** colours";
  RunRecorder recorder(options, folder, name);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, a, b, c, d;
    words >> command >> a >> b >> c >> d;
    if (command == "param") {
      recorder.params({{a, b}});
    } else if (command == "long_param") {
      recorder.params({{a, std::string(std::stoul(b), 'x')}});
    } else if (command == "tag") {
      recorder.tag(a, b);
    } else if (command == "steps") {
      record_steps(recorder, std::stoll(a), std::stoll(b));
    } else if (command == "cost") {
      const auto begin = std::chrono::steady_clock::now();
      record_steps(recorder, std::stoll(a), std::stoll(b));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      std::cout << "seconds " << seconds.count() << "\n";
    } else if (command == "flush") {
      recorder.flush();
    } else if (command == "memory") {
      std::cout << "grown_megabytes " << grown_megabytes() << "\n";
    } else if (command == "artifact") {
      recorder.artifact(a, b);
    } else if (command == "image") {
      cv::imwrite(folder + "/" + b, cv::Mat(200, 640, CV_8UC3, cv::Scalar(40, 120, 200)));
      recorder.step_image(a, b, std::stoll(c));
    } else if (command == "dataset") {
      recorder.dataset(a, b, c, d);
    } else if (command == "close") {
      recorder.close(a == "finished" ? RunStatus::kFinished
                     : a == "failed" ? RunStatus::kFailed
                                     : RunStatus::kKilled,
                     std::stod(b));
    } else {
      std::cerr << "unknown command: " << line << "\n";
      return 2;
    }
    std::cout << "done" << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 2 ? argv[1] : "";
  grown_megabytes();
  try {
    if (mode == "record" && (argc == 4 || argc == 5)) {
      return record(argv[2], argv[3], argc == 5 ? argv[4] : "");
    }
    if (mode == "sync" && argc == 3) {
      limewash::tracking::TrackingOptions options;
      options.experiment = "walls & paint";
      std::cout << limewash::tracking::sync_run(options, argv[2]) << "\n";
      std::cerr << "grown_megabytes " << grown_megabytes() << "\n";
      return 0;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  std::cerr << "usage: record FOLDER NAME [PARENT] | sync FOLDER\n";
  return 2;
}
