#include "data/photo_glob.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

#include "runtime/error.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

constexpr std::u32string_view kAnyFolders = U"**";

/// Code points; a byte that belongs to none becomes a value that no text holds.
std::u32string code_points(std::string_view text) {
  constexpr char32_t kInvalid = 0x110000;
  std::u32string points;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t length = first < 0x80   ? 1
                          : first < 0xc0 ? 0
                          : first < 0xe0 ? 2
                          : first < 0xf0 ? 3
                                         : 4;
    char32_t point = length <= 1 ? first : first & (0x7fu >> length);
    bool valid = length > 0 && i + length <= text.size();
    for (size_t k = 1; valid && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      valid = (next & 0xc0) == 0x80;
      point = point << 6 | (next & 0x3f);
    }
    points += valid ? point : kInvalid + first;
    i += valid ? length : 1;
  }
  return points;
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : fs::path(path))
    if (!part.empty() && part != ".") parts.push_back(part.string());
  return parts;
}

/// The end of the set that begins at `at`, behind its bracket; npos when it is not closed.
size_t end_of_set(const std::u32string& pattern, size_t at) {
  size_t i = at + 1;
  if (i < pattern.size() && (pattern[i] == U'!' || pattern[i] == U'^')) ++i;
  // A bracket that stands first is a member.
  const size_t end = pattern.find(U']', i + 1);
  return end == std::u32string::npos ? end : end + 1;
}

bool set_has(const std::u32string& pattern, size_t begin, size_t end, char32_t letter) {
  size_t i = begin + 1;
  const bool negated = pattern[i] == U'!' || pattern[i] == U'^';
  if (negated) ++i;
  bool found = false;
  while (i < end - 1) {
    const bool is_range = i + 2 < end - 1 && pattern[i + 1] == U'-';
    const char32_t last = is_range ? pattern[i + 2] : pattern[i];
    found |= letter >= pattern[i] && letter <= last;
    i += is_range ? 3 : 1;
  }
  return found != negated;
}

/// One name against one part of a pattern. On a mismatch only the last star is tried again, further
/// to the right: what an earlier one could do, the last one can do too.
bool name_matches(const std::u32string& pattern, const std::u32string& name) {
  if (!name.empty() && name[0] == U'.' && pattern[0] != U'.') return false;
  size_t p = 0, n = 0;
  std::optional<std::pair<size_t, size_t>> star;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == U'*') {
      star = {++p, n};
      continue;
    }
    const size_t end = p >= pattern.size()  ? p
                       : pattern[p] == U'[' ? end_of_set(pattern, p)
                                            : p + 1;
    const bool fits = p < pattern.size() &&
                      (pattern[p] == U'?' || (pattern[p] == U'[' ? set_has(pattern, p, end, name[n])
                                                                 : pattern[p] == name[n]));
    if (fits) {
      p = end;
      ++n;
    } else if (star) {
      p = star->first;
      n = ++star->second;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == U'*') ++p;
  return p == pattern.size();
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

}  // namespace

Glob::Glob(const std::string& pattern) {
  folder_ = fs::path(pattern).root_path();
  for (const std::string& part : split_path(fs::path(pattern).relative_path().string())) {
    if (parts_.empty() && !is_glob(part)) {
      folder_ /= part;
      continue;
    }
    std::u32string points = code_points(part);
    for (size_t i = 0; i < points.size(); ++i)
      if (points[i] == U'[' && (i = end_of_set(points, i) - 1) == std::u32string::npos - 1)
        throw ConfigError("prepare.images: " + pattern + " has a [ without its ]");
    // Two of them in a row say the same as one.
    if (points == kAnyFolders && !parts_.empty() && parts_.back() == kAnyFolders) continue;
    parts_.push_back(std::move(points));
  }
  if (folder_.empty()) folder_ = ".";
}

bool Glob::is_glob(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

const fs::path& Glob::folder() const {
  return folder_;
}

int64_t Glob::depth() const {
  for (const std::u32string& part : parts_)
    if (part == kAnyFolders) return -1;
  return static_cast<int64_t>(parts_.size()) - 1;
}

bool Glob::matches(const std::string& relative) const {
  std::vector<std::u32string> names;
  for (const std::string& name : split_path(relative)) names.push_back(code_points(name));
  // reached[k]: the first k parts match the names so far.
  std::vector<char> reached(parts_.size() + 1, 0);
  const auto pass_any_folders = [&] {
    for (size_t k = 0; k < parts_.size(); ++k)
      if (reached[k] && parts_[k] == kAnyFolders) reached[k + 1] = 1;
  };
  reached[0] = 1;
  pass_any_folders();
  for (const std::u32string& name : names) {
    std::vector<char> next(parts_.size() + 1, 0);
    for (size_t k = 0; k < parts_.size(); ++k) {
      if (!reached[k]) continue;
      if (parts_[k] == kAnyFolders) {
        next[k] |= !name.starts_with(U'.');
      } else {
        next[k + 1] |= name_matches(parts_[k], name);
      }
    }
    reached = std::move(next);
    pass_any_folders();
  }
  return reached.back() != 0;
}

bool has_picture_name(const fs::path& path) {
  static constexpr std::array<std::string_view, 16> kExtensions{".jpg",
                                                                ".jpeg",
                                                                ".jpe",
                                                                ".jfif",
                                                                ".png",
                                                                ".webp",
                                                                ".tif",
                                                                ".tiff",
                                                                ".bmp",
                                                                ".gif",
                                                                ".heic",
                                                                ".heif",
                                                                ".avif",
                                                                ".jxl",
                                                                ".jp2",
                                                                ".psd"};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

void search_photos(const fs::path& folder,
                   int64_t depth,
                   const std::vector<fs::path>& leave_out,
                   const FoundPhoto& found) {
  struct Open {
    fs::path path;
    std::string relative;
    int64_t depth;
  };
  std::vector<Open> open{{folder, "", 0}};
  while (!open.empty()) {
    const Open at = std::move(open.back());
    open.pop_back();
    std::error_code error;
    for (fs::directory_iterator entry(at.path, error), end; !error && entry != end;
         entry.increment(error)) {
      const fs::path& path = entry->path();
      if (is_hidden(path)) continue;
      const std::string relative = at.relative + path.filename().string();
      if (has_picture_name(path)) found(path, relative);
      std::error_code ignored;
      if (!entry->is_directory(ignored) || entry->is_symlink(ignored)) continue;
      if (depth >= 0 && at.depth >= depth) continue;
      const bool left_out =
          std::any_of(leave_out.begin(), leave_out.end(), [&](const fs::path& other) {
            return fs::equivalent(path, other, ignored);
          });
      if (!left_out) open.push_back({path, relative + "/", at.depth + 1});
    }
    if (!error) continue;
    if (at.relative.empty())
      throw InputError("prepare.images: " + folder.string() +
                       " cannot be listed: " + error.message());
    spdlog::warn(
        "{}: cannot be listed ({}), so its photos are left out", at.path.string(), error.message());
  }
}

std::vector<fs::path> pictures_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (!is_hidden(entry->path()) && has_picture_name(entry->path()) &&
        !entry->is_directory(ignored))
      files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace limewash::data
