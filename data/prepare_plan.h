#pragma once
// What a call of prepare has to do: begin, go on after an interruption, append, or nothing.

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset_index.h"
#include "data/photo_pairs.h"
#include "data/prepare_options.h"

namespace limewash::data {

struct PreparePlan {
  DatasetIndex index;          ///< as the work begins
  bool changes_index = false;  ///< it has to be written before the first photo
  std::vector<size_t> photos;  ///< places in the list of pairs that are left to do, ascending
  std::vector<uint64_t> ids;   ///< stable_id of every pair
};

/// The options that shape the bytes, as a JSON object. Where the files lie and how many work on
/// them does not.
std::string shaping_configuration(const PrepareOptions& options);

/// What tells whether the files of a photo changed: a hash over their sizes and the caption.
uint64_t source_of(const PhotoPair& pair);

/// Everything, as into an empty folder.
PreparePlan plan_anew(const std::string& configuration, const std::vector<PhotoPair>& pairs);

/// Compare the folder's index with the photos that were found. Reads, never writes. InputError when
/// the folder holds something else, was prepared with other options (naming them) or damaged; of
/// other photos, unless `append`; and when an appended photo was changed since it was prepared. A
/// photo that was rejected and changed is tried again.
PreparePlan plan_prepare(const std::filesystem::path& out,
                         const std::string& configuration,
                         const std::vector<PhotoPair>& pairs,
                         bool append);

}  // namespace limewash::data
