#pragma once
// The samples of a dataset that a person looks at: photo, mask and core, colours, scores.

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/dataset_index.h"

namespace limewash::eval {

/// HTML of the `shown` samples of lowest and of highest quality: photo, the mask over it and what
/// the core leaves of it as one embedded JPEG; the wall's colour, the palette, the quality and its
/// parts ("-" where a part was not computed). A damaged sample shows its error instead.
std::string contact_sheet(const std::filesystem::path& folder,
                          const data::DatasetIndex& index,
                          size_t shown);

}  // namespace limewash::eval
