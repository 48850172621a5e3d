#include "data/photo_pairs.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "data/hash.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

bool is_photo(const fs::path& path) {
  static constexpr std::array<std::string_view, 7> kExtensions{
      ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

void check_folder(const char* key, const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw InputError("prepare." + std::string(key) + ": " + folder.string() + " is no folder");
}

std::optional<fs::path> mask_of(const fs::path& masks, const fs::path& relative) {
  std::error_code ignored;
  fs::path mask = masks / relative;
  mask.replace_extension(".png");
  if (fs::is_regular_file(mask, ignored)) return mask;
  mask = masks / relative;
  if (fs::is_regular_file(mask, ignored)) return mask;
  return std::nullopt;
}

uint64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

std::vector<PhotoPair> find_photo_pairs(const fs::path& images, const fs::path& masks) {
  check_folder("images", images);
  check_folder("masks", masks);
  std::error_code error;
  if (fs::equivalent(images, masks, error))
    throw InputError("prepare.masks: " + masks.string() +
                     " is the folder of the photos; masks need their own");
  std::vector<PhotoPair> pairs;
  try {
    auto entry =
        fs::recursive_directory_iterator(images, fs::directory_options::skip_permission_denied);
    for (; entry != fs::recursive_directory_iterator(); ++entry) {
      if (entry->is_directory(error)) {
        if (is_hidden(entry->path()) || fs::equivalent(entry->path(), masks, error))
          entry.disable_recursion_pending();
        continue;
      }
      if (is_hidden(entry->path()) || !is_photo(entry->path())) continue;
      const fs::path relative = entry->path().lexically_relative(images);
      pairs.push_back({relative.generic_string(), entry->path(), mask_of(masks, relative)});
    }
  } catch (const fs::filesystem_error& failure) {
    throw InputError("prepare.images: " + images.string() +
                     " cannot be listed: " + failure.code().message());
  }
  if (pairs.empty())
    throw InputError("prepare.images: " + images.string() + " holds no photo (jpg, png)");
  std::sort(pairs.begin(), pairs.end(), [](const PhotoPair& a, const PhotoPair& b) {
    return a.id < b.id;
  });
  return pairs;
}

std::string hash_of(const std::vector<PhotoPair>& pairs) {
  Hasher hasher;
  for (const PhotoPair& pair : pairs) {
    const uint64_t sizes[] = {
        size_of(pair.photo), pair.mask ? 1u : 0u, pair.mask ? size_of(*pair.mask) : 0};
    hasher.text(pair.id);
    hasher.values(std::span<const uint64_t>(sizes));
  }
  return hasher.hex();
}

}  // namespace limewash::data
