#pragma once
// Damage to a JPEG that its decoder takes for a picture.

#include <string_view>

namespace limewash::data {

/// Whether `scan`, which begins with entropy-coded data and may go on behind them, holds 512 zero
/// bytes in a row before the next marker: what a lost sector leaves. Only meaningful where the code
/// of zeros is not the end of a block; otherwise a flat area may look like that.
bool has_lost_sector(std::string_view scan);

}  // namespace limewash::data
