#include "data/shard.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "data/hash.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

constexpr int64_t kMaxSide = 1 << 14;
constexpr int64_t kMaxParts = 64;

std::string shard_fingerprint(const std::string& configuration,
                              int64_t height,
                              int64_t width,
                              std::span<const uint64_t> checksums) {
  Hasher hasher;
  const int64_t sizes[] = {kShardVersion, height, width};
  hasher.values(std::span<const int64_t>(sizes));
  hasher.text(configuration);
  hasher.values(checksums);
  return hasher.hex();
}

std::array<uint64_t, 3> room_row(const std::optional<RoomSource>& room) {
  if (!room) return {0, 0, 0};
  return {room->seed, room->id, static_cast<uint64_t>(room->size)};
}

void check_sample(const ShardSample& sample, int64_t height, int64_t width) {
  const auto pixels = static_cast<size_t>(height * width);
  const Sample& p = sample.pixels;
  const bool sizes_agree = p.image.height == height && p.image.width == width &&
                           p.image.pixels.size() == pixels * 3 && p.mask.pixels.size() == pixels &&
                           p.core.pixels.size() == pixels;
  if (!sizes_agree || sample.palette.size() != static_cast<size_t>(kPaletteColors) ||
      sample.quality_parts.size() != quality_part_names().size())
    throw InputError("sample " + sample.id + " does not fit the shard's sizes");
}

void write_file(const std::filesystem::path& path,
                const std::string& configuration,
                std::span<const ShardSample> samples,
                std::span<const uint64_t> checksums) {
  const auto count = static_cast<int64_t>(samples.size());
  const int64_t height = samples[0].pixels.image.height, width = samples[0].pixels.image.width;
  const auto parts = static_cast<int64_t>(quality_part_names().size());

  std::vector<float> colors, palettes, qualities, all_parts;
  std::vector<uint64_t> rooms;
  std::vector<std::string> ids, captions;
  for (const ShardSample& sample : samples) {
    colors.insert(colors.end(), sample.color.begin(), sample.color.end());
    for (const PaletteColor& color : sample.palette)
      palettes.insert(palettes.end(), color.begin(), color.end());
    qualities.push_back(sample.quality);
    all_parts.insert(all_parts.end(), sample.quality_parts.begin(), sample.quality_parts.end());
    const auto room = room_row(sample.room);
    rooms.insert(rooms.end(), room.begin(), room.end());
    ids.push_back(sample.id);
    captions.push_back(sample.caption);
  }

  Hdf5Writer file(path);
  file.attribute("format", std::string("limewash-shard"));
  file.attribute("version", kShardVersion);
  file.attribute("height", height);
  file.attribute("width", width);
  file.attribute("configuration", configuration);
  file.attribute("quality_part_names", quality_part_names());
  file.attribute("fingerprint", shard_fingerprint(configuration, height, width, checksums));
  file.texts("id", ids);
  file.texts("caption", captions);
  file.dataset("color", Hdf5Type::kFloat32, {count, 3}, colors.data());
  file.dataset("palette", Hdf5Type::kFloat32, {count, kPaletteColors, 4}, palettes.data());
  file.dataset("quality", Hdf5Type::kFloat32, {count}, qualities.data());
  file.dataset("quality_parts", Hdf5Type::kFloat32, {count, parts}, all_parts.data());
  file.dataset("room", Hdf5Type::kUint64, {count, 3}, rooms.data());
  file.dataset("checksum", Hdf5Type::kUint64, {count}, checksums.data());
  file.declare("image", Hdf5Type::kUint8, {count, height, width, 3});
  file.declare("mask", Hdf5Type::kUint8, {count, height, width});
  file.declare("core", Hdf5Type::kUint8, {count, height, width});
  for (int64_t i = 0; i < count; ++i) {
    const Sample& pixels = samples[static_cast<size_t>(i)].pixels;
    file.write_row("image", i, pixels.image.pixels.data());
    file.write_row("mask", i, pixels.mask.pixels.data());
    file.write_row("core", i, pixels.core.pixels.data());
  }
  file.close();
}

}  // namespace

uint64_t sample_checksum(const ShardSample& sample) {
  Hasher hasher;
  hasher.values(std::span<const uint8_t>(sample.pixels.image.pixels));
  hasher.values(std::span<const uint8_t>(sample.pixels.mask.pixels));
  hasher.values(std::span<const uint8_t>(sample.pixels.core.pixels));
  hasher.values(std::span<const float>(sample.color));
  for (const PaletteColor& color : sample.palette) hasher.values(std::span<const float>(color));
  hasher.bytes(&sample.quality, sizeof(float));
  hasher.values(std::span<const float>(sample.quality_parts));
  hasher.values(std::span<const uint64_t>(room_row(sample.room)));
  hasher.bytes(sample.id.c_str(), sample.id.size() + 1);
  hasher.bytes(sample.caption.c_str(), sample.caption.size() + 1);
  return hasher.digest();
}

ShardSummary write_shard(const std::filesystem::path& path,
                         const std::string& configuration,
                         std::span<const ShardSample> samples) {
  if (samples.empty()) throw InputError(path.string() + ": a shard needs at least one sample");
  std::vector<uint64_t> checksums;
  for (const ShardSample& sample : samples) {
    check_sample(sample, samples[0].pixels.image.height, samples[0].pixels.image.width);
    checksums.push_back(sample_checksum(sample));
  }
  const std::filesystem::path temporary = path.string() + ".tmp";
  ShardSummary summary;
  try {
    write_file(temporary, configuration, samples, checksums);
    const ShardReader written(temporary);
    summary = written.summary();
    for (size_t i = 0; i < samples.size(); ++i)
      if (sample_checksum(written.read(static_cast<int64_t>(i))) != checksums[i])
        throw InputError(path.string() + ": sample " + samples[i].id +
                         " reads back differently from what was written");
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
  publish(temporary, path);
  return summary;
}

ShardReader::ShardReader(std::filesystem::path path) : ShardReader(path, Hdf5Reader(path)) {}

ShardReader::ShardReader(std::filesystem::path path, Hdf5Reader&& reader)
    : path_(std::move(path)), file_(path_) {
  const std::string name = path_.string();
  if (reader.text_attribute("format") != "limewash-shard")
    throw InputError(name + ": is HDF5, but no limewash shard");
  const int64_t version = reader.integer_attribute("version");
  if (version != kShardVersion)
    throw InputError(name + ": is a shard of format version " + std::to_string(version) +
                     "; this program reads version " + std::to_string(kShardVersion) +
                     ": prepare the dataset again");
  const int64_t height = reader.integer_attribute("height"),
                width = reader.integer_attribute("width");
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide)
    throw InputError(name + ": has samples of " + std::to_string(width) + "x" +
                     std::to_string(height) + " pixels, expected sides of 1 to " +
                     std::to_string(kMaxSide));
  configuration_ = reader.text_attribute("configuration");
  const auto part_names = reader.text_list_attribute("quality_part_names");
  const auto parts = static_cast<int64_t>(part_names.size());
  if (parts > kMaxParts) throw InputError(name + ": has too many quality parts");

  image_ = reader.array("image", Hdf5Type::kUint8, {-1, height, width, 3});
  const int64_t count = image_.shape[0];
  if (count < 1) throw InputError(name + ": has no samples");
  mask_ = reader.array("mask", Hdf5Type::kUint8, {count, height, width});
  core_ = reader.array("core", Hdf5Type::kUint8, {count, height, width});
  const auto colors = reader.read_all<float>(reader.array("color", Hdf5Type::kFloat32, {count, 3}));
  palette_ = reader.read_all<float>(
      reader.array("palette", Hdf5Type::kFloat32, {count, kPaletteColors, 4}));
  const auto qualities =
      reader.read_all<float>(reader.array("quality", Hdf5Type::kFloat32, {count}));
  quality_parts_ =
      reader.read_all<float>(reader.array("quality_parts", Hdf5Type::kFloat32, {count, parts}));
  const auto rooms = reader.read_all<uint64_t>(reader.array("room", Hdf5Type::kUint64, {count, 3}));
  checksums_ = reader.read_all<uint64_t>(reader.array("checksum", Hdf5Type::kUint64, {count}));
  auto ids = reader.read_texts(reader.array("id", Hdf5Type::kText, {count}));
  auto captions = reader.read_texts(reader.array("caption", Hdf5Type::kText, {count}));

  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    SampleInfo info;
    info.id = std::move(ids[at]);
    info.stable_id = stable_id(info.id);
    info.caption = std::move(captions[at]);
    std::copy_n(&colors[at * 3], 3, info.color.begin());
    info.quality = qualities[at];
    if (rooms[at * 3 + 2] != 0) {
      if (rooms[at * 3 + 2] > static_cast<uint64_t>(kMaxSide))
        throw InputError(name + ": sample " + info.id + " names a room of impossible size");
      info.room =
          RoomSource{rooms[at * 3], rooms[at * 3 + 1], static_cast<int64_t>(rooms[at * 3 + 2])};
    }
    infos_.push_back(std::move(info));
  }
  summary_ = {count, height, width, file_.size(), reader.text_attribute("fingerprint")};
  if (summary_.fingerprint != shard_fingerprint(configuration_, height, width, checksums_))
    throw InputError(name + ": its fingerprint does not fit its checksums: the file is damaged");
}

const ShardSummary& ShardReader::summary() const {
  return summary_;
}

const std::string& ShardReader::configuration() const {
  return configuration_;
}

const SampleInfo& ShardReader::info(int64_t index) const {
  return infos_.at(static_cast<size_t>(index));
}

std::vector<float> ShardReader::row(const std::vector<float>& values, int64_t index) const {
  const auto width = static_cast<std::ptrdiff_t>(values.size() / infos_.size());
  const auto begin = values.begin() + index * width;
  return {begin, begin + width};
}

ShardSample ShardReader::read(int64_t index) const {
  const SampleInfo& known = info(index);
  ShardSample sample;
  sample.id = known.id;
  sample.caption = known.caption;
  sample.color = known.color;
  sample.quality = known.quality;
  sample.room = known.room;
  const auto colors = row(palette_, index);
  sample.palette.resize(static_cast<size_t>(kPaletteColors));
  std::memcpy(sample.palette.data(), colors.data(), colors.size() * sizeof(float));
  sample.quality_parts = row(quality_parts_, index);

  const auto pixels_of = [&](const Hdf5Array& array) {
    const int64_t bytes = array.bytes / array.shape[0];
    std::vector<uint8_t> pixels(static_cast<size_t>(bytes));
    file_.read(array.offset + index * bytes, bytes, pixels.data());
    return pixels;
  };
  sample.pixels.image = {summary_.height, summary_.width, pixels_of(image_)};
  sample.pixels.mask = {summary_.height, summary_.width, pixels_of(mask_)};
  sample.pixels.core = {summary_.height, summary_.width, pixels_of(core_)};
  if (sample_checksum(sample) != checksums_[static_cast<size_t>(index)])
    throw InputError(path_.string() + ": sample " + std::to_string(index) + " (" + sample.id +
                     ") is damaged: its bytes do not fit their checksum");
  return sample;
}

// The size is compared first: the most frequent damage is the easiest to name.
ShardReader open_listed_shard(const std::filesystem::path& path, const ShardSummary& expected) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error) throw InputError(path.string() + ": listed in index.json, but " + error.message());
  if (static_cast<int64_t>(bytes) < expected.bytes)
    throw InputError(path.string() + ": is truncated: it has " + std::to_string(bytes) + " of " +
                     std::to_string(expected.bytes) + " bytes");
  ShardReader shard(path);
  const ShardSummary& found = shard.summary();
  if (found.samples != expected.samples || found.height != expected.height ||
      found.width != expected.width || found.fingerprint != expected.fingerprint)
    throw InputError(path.string() + ": is not the shard that index.json lists (" +
                     std::to_string(found.samples) + " samples, fingerprint " + found.fingerprint +
                     "; expected " + std::to_string(expected.samples) + ", " +
                     expected.fingerprint + ")");
  return shard;
}

}  // namespace limewash::data
