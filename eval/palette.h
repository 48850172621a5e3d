#pragma once
// The colours that an evaluation asks for.

#include <string>
#include <vector>

#include "data/color.h"

namespace limewash::eval {

/// "#rrggbb" or "rrggbb" -> sRGB in [0, 1]. Throws ConfigError naming `key` and the value.
data::Rgb parse_color(const std::string& text, const std::string& key);
/// "#rrggbb", rounded to 8 bits.
std::string color_text(const data::Rgb& color);
/// The 24 patches of the classic colour chart in sRGB, row by row from dark skin to black.
const std::vector<std::string>& classic_chart();

}  // namespace limewash::eval
