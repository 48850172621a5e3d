#pragma once
// Lists of photos: CSV and JSON lines.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::data {

/// One photo as its list names it. Paths are as written.
struct ListedPhoto {
  std::string image;
  std::vector<std::string> masks, second_masks;
  std::string caption;
  int64_t line = 0;  ///< where its entry begins, from 1
};

/// Which columns an entry must have; `image` always.
struct RequiredColumns {
  bool mask = false;
  bool caption = false;
};

/// Whether the name says that a file is such a list.
bool is_photo_list(const std::filesystem::path& file);

/// The entries of a .csv (RFC 4180; a header with the columns image, mask, second_mask, caption;
/// several masks in one cell with `;` between them) or .jsonl file (an object a line with the same
/// keys; several masks as an array), in their order. Throws InputError naming file and line: broken
/// quoting, no UTF-8, columns absent or given twice, wrong types, paths that are empty or too long,
/// too many masks, captions that caption_of refuses. Columns of other names are warned of.
std::vector<ListedPhoto> read_photo_list(const std::filesystem::path& file,
                                         const RequiredColumns& required);

}  // namespace limewash::data
