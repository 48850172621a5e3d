#pragma once
// Searching folders for photos, whole or by a pattern.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace limewash::data {

/// A pattern for paths, as `photos/**/*.jpg`: `*` any characters and `?` one character of a name,
/// `[a-z]` and `[!a-z]` one of a set, `**` any number of folders. Case counts; wildcards match no
/// leading dot.
class Glob {
 public:
  /// Throws ConfigError naming prepare.images when a bracket is not closed.
  explicit Glob(const std::string& pattern);
  /// Whether `text` holds a wildcard.
  static bool is_glob(const std::string& text);
  /// What stands before the first wildcard's part, "." when that is nothing.
  const std::filesystem::path& folder() const;
  /// Whether a path below `folder()`, with '/', matches; takes time in proportion to its length.
  bool matches(const std::string& relative) const;
  /// The number of folders that a match can lie deep; -1: any number.
  int64_t depth() const;

 private:
  std::filesystem::path folder_;
  std::vector<std::u32string> parts_;
};

/// Calls `found` with each file below `folder` that has a picture's name, in no particular order:
/// its path, and its path relative to `folder`. A folder with such a name is found too, so that it
/// can be reported. Hidden files and folders, links to folders, and the folders in `leave_out` are
/// left out; a subfolder that cannot be listed is warned of. `depth` bounds the subfolders (-1: not
/// at all). Throws InputError when `folder` itself cannot be listed.
using FoundPhoto =
    std::function<void(const std::filesystem::path& path, const std::string& relative)>;
void search_photos(const std::filesystem::path& folder,
                   int64_t depth,
                   const std::vector<std::filesystem::path>& leave_out,
                   const FoundPhoto& found);

/// Whether a file's name ends as that of a picture does, readable or not.
bool has_picture_name(const std::filesystem::path& path);

/// The visible files with pictures' names directly in `folder`, sorted.
std::vector<std::filesystem::path> pictures_in(const std::filesystem::path& folder);

}  // namespace limewash::data
