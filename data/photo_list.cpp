#include "data/photo_list.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "data/caption.h"
#include "data/csv.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxListBytes = uint64_t{512} << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 20;
constexpr size_t kMaxPathBytes = 4096;
constexpr size_t kMaxMasks = 256;

constexpr std::array<const char*, 4> kColumns{"image", "mask", "second_mask", "caption"};
enum Column : size_t { kImage, kMask, kSecondMask, kCaption };

std::string place(const fs::path& file, int64_t line) {
  return file.string() + ":" + std::to_string(line);
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string_view::npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

void check_path(const std::string& path, const char* column, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw InputError(where + ": " + column + " " + what);
  };
  if (path.empty()) refuse("is empty");
  if (path.size() > kMaxPathBytes)
    refuse("has " + std::to_string(path.size()) + " bytes, more than the " +
           std::to_string(kMaxPathBytes) + " of a path");
  if (path.find('\0') != std::string::npos) refuse("holds a zero byte");
  if (path.find_first_of("\r\n") != std::string::npos) refuse("holds a line end");
}

/// What holds for the entries of both kinds of list.
void check_entry(ListedPhoto& photo, const std::string& where) {
  check_path(photo.image, kColumns[kImage], where);
  if (fs::path(photo.image).filename().empty())
    throw InputError(where + ": image '" + photo.image + "' names a folder");
  for (const auto& [masks, column] : {std::pair{&photo.masks, kColumns[kMask]},
                                      std::pair{&photo.second_masks, kColumns[kSecondMask]}}) {
    if (masks->size() > kMaxMasks)
      throw InputError(where + ": " + column + " names " + std::to_string(masks->size()) +
                       " files, more than the " + std::to_string(kMaxMasks) + " allowed");
    for (const std::string& path : *masks) check_path(path, column, where);
  }
  photo.caption = caption_of(photo.caption, where);
}

void warn_of_unknown(const fs::path& file, const std::vector<std::string>& unknown) {
  if (unknown.empty()) return;
  spdlog::warn("{}: {} not looked at; known are image, mask, second_mask and caption",
               file.string(),
               join(unknown) + (unknown.size() == 1 ? " is" : " are"));
}

std::vector<std::string> split_masks(const std::string& cell) {
  std::vector<std::string> masks;
  for (size_t at = 0; at <= cell.size();) {
    const size_t end = std::min(cell.find(';', at), cell.size());
    const std::string mask = trimmed(std::string_view(cell).substr(at, end - at));
    if (!mask.empty()) masks.push_back(mask);
    at = end + 1;
  }
  return masks;
}

using Places = std::array<std::optional<size_t>, kColumns.size()>;

Places places_of(const CsvRow& header, const fs::path& file, const RequiredColumns& required) {
  Places places;
  std::vector<std::string> found, unknown;
  for (size_t i = 0; i < header.cells.size(); ++i) {
    const std::string name = trimmed(header.cells[i]);
    found.push_back("'" + name + "'");
    const auto known = std::find(kColumns.begin(), kColumns.end(), name);
    if (known == kColumns.end()) {
      unknown.push_back("column " + found.back());
      continue;
    }
    auto& column = places[static_cast<size_t>(known - kColumns.begin())];
    if (column) throw InputError(place(file, 1) + ": the column '" + name + "' is there twice");
    column = i;
  }
  const std::pair<bool, Column> needed[] = {
      {true, kImage}, {required.mask, kMask}, {required.caption, kCaption}};
  for (const auto& [is_needed, column] : needed)
    if (is_needed && !places[column])
      throw InputError(place(file, 1) + ": has no column '" + kColumns[column] +
                       "'; its first line names " + join(found));
  warn_of_unknown(file, unknown);
  return places;
}

std::vector<ListedPhoto> read_csv_list(const fs::path& file,
                                       std::string_view text,
                                       const RequiredColumns& required) {
  CsvReader reader(text, file.string());
  const auto header = reader.next();
  if (!header) throw InputError(file.string() + ": the list is empty");
  const Places places = places_of(*header, file, required);
  std::vector<ListedPhoto> photos;
  while (const auto row = reader.next()) {
    const std::string where = place(file, row->line);
    if (row->cells.size() != header->cells.size())
      throw InputError(where + ": has " + std::to_string(row->cells.size()) +
                       " columns, expected the " + std::to_string(header->cells.size()) +
                       " of the first line");
    const auto cell = [&](Column column) {
      return places[column] ? row->cells[*places[column]] : std::string();
    };
    ListedPhoto photo;
    photo.image = trimmed(cell(kImage));
    photo.masks = split_masks(cell(kMask));
    photo.second_masks = split_masks(cell(kSecondMask));
    photo.caption = cell(kCaption);
    photo.line = row->line;
    check_entry(photo, where);
    photos.push_back(std::move(photo));
  }
  return photos;
}

std::string text_of(const nlohmann::json& value, const char* key, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  throw InputError(where + ": " + key + " is of the type " + value.type_name() +
                   ", expected a text");
}

std::vector<std::string> masks_of(const nlohmann::json& object,
                                  const char* key,
                                  const std::string& where) {
  const auto value = object.find(key);
  if (value == object.end() || value->is_null()) return {};
  if (!value->is_array()) return {text_of(*value, key, where)};
  std::vector<std::string> masks;
  for (const auto& one : *value) masks.push_back(text_of(one, key, where));
  return masks;
}

ListedPhoto photo_of(const nlohmann::json& object,
                     const std::string& where,
                     const RequiredColumns& required) {
  if (!object.is_object())
    throw InputError(where + ": is of the type " + object.type_name() + ", expected an object");
  const std::pair<bool, Column> needed[] = {
      {true, kImage}, {required.mask, kMask}, {required.caption, kCaption}};
  for (const auto& [is_needed, column] : needed)
    if (is_needed && !object.contains(kColumns[column]))
      throw InputError(where + ": has no key '" + kColumns[column] + "'");
  ListedPhoto photo;
  photo.image = text_of(object.at(kColumns[kImage]), kColumns[kImage], where);
  photo.masks = masks_of(object, kColumns[kMask], where);
  photo.second_masks = masks_of(object, kColumns[kSecondMask], where);
  const auto caption = object.find(kColumns[kCaption]);
  if (caption != object.end() && !caption->is_null())
    photo.caption = text_of(*caption, kColumns[kCaption], where);
  return photo;
}

std::vector<ListedPhoto> read_json_lines(const fs::path& file,
                                         std::string_view text,
                                         const RequiredColumns& required) {
  std::vector<ListedPhoto> photos;
  std::vector<std::string> unknown;
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    const std::string where = place(file, ++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (line.size() > kMaxLineBytes)
      throw InputError(where + ": the line has " + std::to_string(line.size()) +
                       " bytes, more than the " + std::to_string(kMaxLineBytes) + " allowed");
    if (!is_utf8(line)) throw InputError(where + ": is no valid UTF-8");
    const auto object = nlohmann::json::parse(line, nullptr, false);
    if (object.is_discarded()) throw InputError(where + ": is no JSON");
    ListedPhoto photo = photo_of(object, where, required);
    photo.line = number;
    check_entry(photo, where);
    photos.push_back(std::move(photo));
    for (const auto& [key, value] : object.items()) {
      const std::string name = "key '" + key + "'";
      if (unknown.size() < 8 &&
          std::find(kColumns.begin(), kColumns.end(), key) == kColumns.end() &&
          std::find(unknown.begin(), unknown.end(), name) == unknown.end())
        unknown.push_back(name);
    }
  }
  warn_of_unknown(file, unknown);
  return photos;
}

}  // namespace

bool is_photo_list(const fs::path& file) {
  return file.extension() == ".csv" || file.extension() == ".jsonl";
}

std::vector<ListedPhoto> read_photo_list(const fs::path& file, const RequiredColumns& required) {
  const std::string bytes = read_file(file, kMaxListBytes);
  std::string_view text = bytes;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return file.extension() == ".csv" ? read_csv_list(file, text, required)
                                    : read_json_lines(file, text, required);
}

}  // namespace limewash::data
