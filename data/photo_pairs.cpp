#include "data/photo_pairs.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/hash.h"
#include "data/photo_glob.h"
#include "data/photo_list.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void check_folder(const char* key, const std::string& folder) {
  if (!folder.empty() && !is_folder(folder))
    throw InputError("prepare." + std::string(key) + ": " + folder + " is no folder");
}

/// Whether an id stays below the folder that it counts from.
bool is_below(const std::string& id) {
  const fs::path path(id);
  return path.is_relative() && *path.begin() != "..";
}

/// The masks that a folder holds for one photo: a file of its name, else a folder of its name.
std::vector<fs::path> masks_in(const std::string& masks, const PhotoPair& pair) {
  if (masks.empty() || !is_below(pair.id)) return {};
  const fs::path named = fs::path(masks) / pair.id;
  fs::path candidate = named;
  if (is_file(candidate.replace_extension(".png"))) return {candidate};
  if (is_file(named)) return {named};
  for (const char* extension : {".tif", ".tiff", ".webp"})
    if (is_file(candidate.replace_extension(extension))) return {candidate};
  // Photos may lie in a folder of that name; then the masks in there are theirs.
  if (is_folder(fs::path(pair.photo).replace_extension())) return {};
  return pictures_in(candidate.replace_extension());
}

std::vector<fs::path> below(const fs::path& folder, const std::vector<std::string>& paths) {
  std::vector<fs::path> result;
  for (const std::string& path : paths) result.push_back((folder / path).lexically_normal());
  return result;
}

void sort_by_id(std::vector<PhotoPair>& pairs) {
  std::sort(pairs.begin(), pairs.end(), [](const PhotoPair& a, const PhotoPair& b) {
    return a.id < b.id;
  });
}

std::vector<PhotoPair> photos_of_folder(const PrepareOptions& options) {
  const fs::path images = options.images;
  std::error_code error;
  if (!options.masks.empty() && fs::equivalent(images, options.masks, error))
    throw InputError("prepare.masks: " + options.masks +
                     " is the folder of the photos; masks need their own");
  std::vector<PhotoPair> pairs;
  search_photos(images,
                -1,
                {options.masks, options.second_masks},
                [&](const fs::path& path, const std::string& relative) {
                  pairs.emplace_back();
                  pairs.back().id = relative;
                  pairs.back().photo = path;
                });
  if (pairs.empty())
    throw InputError("prepare.images: " + options.images +
                     " holds no photo (jpg, png, webp, tif); other files are not looked at");
  sort_by_id(pairs);
  return pairs;
}

std::vector<PhotoPair> photos_of_glob(const PrepareOptions& options) {
  const Glob glob(options.images);
  if (!is_folder(glob.folder()))
    throw InputError("prepare.images: " + glob.folder().string() + " of the glob " +
                     options.images + " is no folder");
  std::vector<PhotoPair> pairs;
  search_photos(glob.folder(),
                glob.depth(),
                {options.masks, options.second_masks},
                [&](const fs::path& path, const std::string& relative) {
                  if (!glob.matches(relative)) return;
                  pairs.emplace_back();
                  pairs.back().id = relative;
                  pairs.back().photo = path;
                });
  if (pairs.empty())
    throw InputError("prepare.images: no photo (jpg, png, webp, tif) matches " + options.images);
  sort_by_id(pairs);
  return pairs;
}

std::string id_of(const std::string& path) {
  return fs::path(path).lexically_normal().generic_string();
}

std::vector<PhotoPair> photos_of_list(const PrepareOptions& options) {
  const fs::path file = options.images, folder = photos_folder(options.images);
  std::vector<PhotoPair> pairs;
  std::map<std::string, int64_t> lines;
  for (ListedPhoto& listed : read_photo_list(file, {options.masks.empty(), false})) {
    PhotoPair pair;
    pair.id = id_of(listed.image);
    const auto [known, is_new] = lines.emplace(pair.id, listed.line);
    if (!is_new)
      throw InputError(file.string() + ":" + std::to_string(listed.line) + ": image '" + pair.id +
                       "' stands in line " + std::to_string(known->second) + " already");
    pair.photo = (folder / listed.image).lexically_normal();
    pair.masks = below(folder, listed.masks);
    pair.second_masks = below(folder, listed.second_masks);
    pair.caption = std::move(listed.caption);
    pairs.push_back(std::move(pair));
  }
  if (pairs.empty()) throw InputError("prepare.images: " + options.images + " names no photo");
  return pairs;
}

std::vector<PhotoPair> find_photos(const PrepareOptions& options) {
  if (is_folder(options.images)) return photos_of_folder(options);
  if (is_photo_list(options.images)) return photos_of_list(options);
  if (!is_there(options.images) && Glob::is_glob(options.images)) return photos_of_glob(options);
  throw InputError("prepare.images: " + options.images +
                   " is no folder, no list (.csv, .jsonl) and no glob");
}

/// Captions that a list has under the photos' ids.
void add_listed_captions(const std::string& captions, std::vector<PhotoPair>& pairs) {
  std::map<std::string, std::pair<std::string, int64_t>> known;
  for (ListedPhoto& listed : read_photo_list(captions, {false, true})) {
    const std::string id = id_of(listed.image);
    const auto [entry, is_new] =
        known.emplace(id, std::pair{std::move(listed.caption), listed.line});
    if (!is_new)
      throw InputError(captions + ":" + std::to_string(listed.line) + ": image '" + id +
                       "' stands in line " + std::to_string(entry->second.second) + " already");
  }
  size_t used = 0;
  for (PhotoPair& pair : pairs) {
    const auto entry = known.find(pair.id);
    if (entry == known.end()) continue;
    ++used;
    if (pair.caption.empty()) pair.caption = entry->second.first;
  }
  if (used < known.size())
    spdlog::warn("{}: {} of {} captions are of images that are not among the photos",
                 captions,
                 known.size() - used,
                 known.size());
}

void add_captions(const std::string& captions, std::vector<PhotoPair>& pairs) {
  if (captions.empty()) return;
  if (is_photo_list(captions) && !is_folder(captions)) return add_listed_captions(captions, pairs);
  if (!is_folder(captions))
    throw InputError("prepare.captions: " + captions + " is no folder and no list (.jsonl, .csv)");
  for (PhotoPair& pair : pairs) {
    if (!pair.caption.empty() || !is_below(pair.id)) continue;
    fs::path file = (fs::path(captions) / pair.id).replace_extension(".txt");
    if (is_there(file)) pair.caption_file = std::move(file);
  }
}

void check_masks(const PhotoPair& pair) {
  for (const fs::path& mask : pair.masks)
    if (mask.lexically_normal() == pair.photo.lexically_normal())
      throw InputError("prepare.images: " + pair.photo.string() + " is its own mask");
}

uint64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

std::vector<PhotoPair> find_photo_pairs(const PrepareOptions& options) {
  if (options.masks.empty() && !is_photo_list(options.images))
    throw ConfigError(
        "prepare.masks is not set: name a folder (--masks), or photos and masks in a list");
  std::vector<PhotoPair> pairs = find_photos(options);
  check_folder("masks", options.masks);
  check_folder("second_masks", options.second_masks);
  for (PhotoPair& pair : pairs) {
    if (pair.masks.empty()) pair.masks = masks_in(options.masks, pair);
    if (pair.second_masks.empty()) pair.second_masks = masks_in(options.second_masks, pair);
    check_masks(pair);
  }
  add_captions(options.captions, pairs);
  return pairs;
}

fs::path photos_folder(const std::string& images) {
  if (is_folder(images)) return images;
  if (!is_photo_list(images) && Glob::is_glob(images)) return Glob(images).folder();
  const fs::path folder = fs::path(images).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

std::string hash_of(const std::vector<PhotoPair>& pairs) {
  Hasher hasher;
  const auto files = [&](std::span<const fs::path> paths) {
    std::vector<uint64_t> sizes{paths.size()};
    for (const fs::path& path : paths) sizes.push_back(size_of(path));
    hasher.values(std::span<const uint64_t>(sizes));
  };
  for (const PhotoPair& pair : pairs) {
    hasher.text(pair.id);
    hasher.text(pair.caption);
    files({&pair.photo, 1});
    files(pair.masks);
    files(pair.second_masks);
    if (pair.caption_file) {
      files({&*pair.caption_file, 1});
    } else {
      files({});
    }
  }
  return hasher.hex();
}

}  // namespace limewash::data
