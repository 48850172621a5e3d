#pragma once
// Whether the tracker that a run would use is there, and takes us.

#include <string>

#include "tracking/run_recorder.h"

namespace limewash::tracking {

struct TrackerCheck {
  std::string uri;      ///< without credentials; empty: none was asked for
  std::string version;  ///< as the server says it; empty where it does not
  double seconds = 0;   ///< that the answers took
  std::string problem;  ///< what came back instead of an answer; empty: all is well
  std::string advice;   ///< what to do about it
};

/// Ask the server of `options`, or of MLFLOW_TRACKING_URI, for its version, and for its experiments
/// with the credentials that are configured. Changes nothing there. Never throws for what is wrong
/// with the tracker.
TrackerCheck check_tracker(const TrackingOptions& options);

}  // namespace limewash::tracking
