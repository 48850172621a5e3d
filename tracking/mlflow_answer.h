#pragma once
// What the tracker's answers mean.

#include <optional>
#include <string>

#include "tracking/http.h"

namespace limewash::tracking {

/// What an answer means; empty for success.
std::optional<TrackerError> classify_answer(const HttpAnswer& answer, const std::string& call);

}  // namespace limewash::tracking
