#include "data/room_manifest.h"

#include <array>

#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

std::string key_of(const fs::path& photo) {
  std::error_code error;
  const fs::path key = fs::weakly_canonical(photo, error);
  return error ? photo.lexically_normal().string() : key.string();
}

std::optional<fs::path> manifest_of(const fs::path& images) {
  std::error_code error;
  const fs::path folder = fs::weakly_canonical(images, error);
  for (const fs::path& file :
       std::array{folder.parent_path() / "rooms.json", folder / "rooms.json"})
    if (fs::is_regular_file(file, error)) return file;
  return std::nullopt;
}

std::optional<Rgb> paint_of(const nlohmann::json& room) {
  const auto paint = room.find("paint");
  if (paint == room.end()) return std::nullopt;
  return paint->get<Rgb>();
}

}  // namespace

RoomManifest::RoomManifest(const fs::path& images) {
  const auto file = manifest_of(images);
  if (!file) return;
  try {
    const auto json = nlohmann::json::parse(read_file(*file));
    const auto format = json.at("format").get<int64_t>();
    if (format != 1)
      throw InputError(file->string() + ": is of format " + std::to_string(format) +
                       ", expected 1");
    const auto seed = json.at("seed").get<uint64_t>();
    const auto size = json.at("size").get<int64_t>();
    for (const auto& room : json.at("rooms")) {
      const fs::path photo = file->parent_path() / room.at("image").get<std::string>();
      rooms_[key_of(photo)] = {{seed, room.at("id").get<uint64_t>(), size}, paint_of(room)};
    }
  } catch (const nlohmann::json::exception& error) {
    throw InputError(file->string() + ": is no list of rooms: " + error.what());
  }
}

const ManifestRoom* RoomManifest::find(const fs::path& photo) const {
  if (rooms_.empty()) return nullptr;
  const auto found = rooms_.find(key_of(photo));
  return found == rooms_.end() ? nullptr : &found->second;
}

bool RoomManifest::empty() const {
  return rooms_.empty();
}

}  // namespace limewash::data
