#pragma once
// A histogram as inline SVG.

#include <string>
#include <vector>

namespace limewash::eval {

/// <svg> of 620 x 250 that scales with its place: the finite `values` in 25 bins from 0 to 1, what
/// lies outside in the first or the last; a line at the median. `note` stands at the right of the
/// title.
std::string render_histogram(const std::string& title,
                             const std::string& note,
                             const std::vector<float>& values);

}  // namespace limewash::eval
