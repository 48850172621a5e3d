#pragma once
// Photos, masks and lists of photos as parsers for fuzzing.

#include <filesystem>
#include <vector>

#include "tests/fuzz/parsers.h"

namespace limewash::fuzz {

/// JPEG, PNG, WebP, TIFF, CSV lists, JSON lines. `work` is a folder for files.
std::vector<Parser> picture_parsers(const std::filesystem::path& work);

}  // namespace limewash::fuzz
