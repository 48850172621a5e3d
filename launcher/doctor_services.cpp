// HDF5, the run folder's file system, the tracker.

#include <cmath>
#include <cstdio>

#include "data/hdf5_info.h"
#include "launcher/doctor.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "tracking/tracker_check.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

Finding examine_hdf5() {
  const auto hdf5 = data::read_hdf5_info();
  Finding finding{.topic = "hdf5"};
  finding.found = hdf5.version + ", " + (hdf5.threadsafe ? "thread-safe" : "not thread-safe") +
                  (hdf5.gzip ? ", with gzip" : ", without gzip");
  finding.details = {{"version", hdf5.version},
                     {"built_against", hdf5.built_against},
                     {"threadsafe", hdf5.threadsafe},
                     {"gzip", hdf5.gzip}};
  if (hdf5.version != hdf5.built_against) {
    finding.health = Health::kNote;
    finding.found += "; this program was built against " + hdf5.built_against;
    finding.advice = "the library refuses to mix versions: build again, or load the same module";
  } else if (!hdf5.gzip) {
    finding.health = Health::kNote;
    finding.advice = "datasets with gzip chunks can't be read";
  }
  return finding;
}

Finding examine_output(const Config& config) {
  Finding finding{.topic = "run.output"};
  const auto folder = nearest_existing_folder(config.run.output);
  try {
    const auto storage = read_storage_info(folder);
    const auto check = check_storage(folder);
    char text[160];
    std::snprintf(text,
                  sizeof text,
                  " on %s, %s free, 1 MiB on disk in %.0f ms, locks %s",
                  storage.file_system.c_str(),
                  bytes_text(storage.free_bytes).c_str(),
                  1e3 * check.sync_seconds,
                  check.locks ? "work" : "do not work");
    finding.found = folder.string() + text;
    finding.details = {{"folder", folder.string()},
                       {"file_system", storage.file_system},
                       {"shared", storage.shared},
                       {"free_bytes", storage.free_bytes},
                       {"sync_seconds", check.sync_seconds},
                       {"locks", check.locks}};
    if (!check.problem.empty()) {
      finding.health = Health::kProblem;
      finding.found += ": " + check.problem;
      finding.advice = check.locks || check.sync_seconds == 0
                           ? "choose a folder that this user may write to: run.output"
                           : "two runs in one folder would not notice each other: mount it with "
                             "locks (Lustre: -o flock), or set run.output elsewhere";
      return finding;
    }
    constexpr double kMostSkew = 2;
    if (std::abs(check.clock_ahead_seconds) > kMostSkew) {
      finding.health = Health::kNote;
      std::snprintf(text, sizeof text, "; its clock differs by %.0f s", check.clock_ahead_seconds);
      finding.found += text;
      finding.advice = "have the file server and this machine ask the same NTP server";
    }
  } catch (const InputError& error) {
    finding.health = Health::kProblem;
    finding.found = error.what();
    finding.advice = "choose a folder that this user may write to: run.output";
  }
  return finding;
}

Finding examine_tracker(const Config& config) {
  Finding finding{.topic = "tracker"};
  const auto check = tracking::check_tracker(config.tracking);
  finding.details = {{"uri", check.uri.empty() ? json() : json(check.uri)},
                     {"version", check.version.empty() ? json() : json(check.version)},
                     {"seconds", check.seconds}};
  if (check.uri.empty() && check.problem.empty()) {
    finding.found = "none asked for; runs are recorded in their folders";
    return finding;
  }
  if (!check.problem.empty()) {
    finding.health = Health::kProblem;
    finding.found = (check.uri.empty() ? "" : check.uri + ": ") + check.problem;
    finding.advice = check.advice;
    return finding;
  }
  char text[64];
  std::snprintf(text, sizeof text, " answers in %.0f ms", 1e3 * check.seconds);
  finding.found = check.uri + text + (check.version.empty() ? "" : ", MLflow " + check.version);
  return finding;
}

}  // namespace

std::vector<Finding> examine_services(const DoctorRequest& request) {
  return {examine_hdf5(), examine_output(request.config), examine_tracker(request.config)};
}

}  // namespace limewash::launcher
