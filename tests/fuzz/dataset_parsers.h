#pragma once
// Shards and the index of a dataset as parsers for fuzzing.

#include <filesystem>
#include <vector>

#include "tests/fuzz/parsers.h"

namespace limewash::fuzz {

/// Shards, contiguous and in gzip chunks, and index.json. `work` is a folder for files.
std::vector<Parser> dataset_parsers(const std::filesystem::path& work);

}  // namespace limewash::fuzz
