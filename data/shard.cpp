#include "data/shard.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <utility>

#include "data/deflate.h"
#include "data/file_hash.h"
#include "data/hash.h"
#include "data/mask.h"
#include "data/ordered_parallel.h"
#include "data/pixel_memory.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

constexpr int64_t kMaxSide = 1 << 14;
constexpr int64_t kMaxParts = 64;
constexpr int kVerifiers = 2;  // threads that read a new shard back

std::string shard_fingerprint(const ShardHead& head,
                              int64_t height,
                              int64_t width,
                              std::span<const uint64_t> checksums,
                              std::span<const uint64_t> sources,
                              std::span<const float> wall_shares) {
  Hasher hasher;
  const int64_t sizes[] = {kShardVersion, height, width};
  hasher.values(std::span<const int64_t>(sizes));
  hasher.text(head.configuration);
  hasher.text(head.split);
  hasher.values(checksums);
  hasher.values(sources);
  hasher.values(wall_shares);
  return hasher.hex();
}

std::array<uint64_t, 3> room_row(const std::optional<RoomSource>& room) {
  if (!room) return {0, 0, 0};
  return {room->seed, room->id, static_cast<uint64_t>(room->size)};
}

void check_sample(const ShardSample& sample) {
  const Sample& p = sample.pixels;
  const auto pixels = static_cast<size_t>(p.image.height * p.image.width);
  const bool sizes_agree = p.image.height > 0 && p.image.width > 0 &&
                           p.image.pixels.size() == pixels * 3 && p.mask.pixels.size() == pixels &&
                           p.core.pixels.size() == pixels;
  if (!sizes_agree || sample.palette.size() != static_cast<size_t>(kPaletteColors) ||
      sample.quality_parts.size() != quality_part_names().size())
    throw InputError("sample " + sample.id + " does not fit the shard's sizes");
}

void write_pixels(Hdf5Writer& file, std::span<const PackedSample> samples) {
  const auto count = static_cast<int64_t>(samples.size());
  const auto& first = samples[0].sample.pixels.image;
  const std::pair<const char*, std::vector<int64_t>> arrays[] = {
      {"image", {count, first.height, first.width, 3}},
      {"mask", {count, first.height, first.width}},
      {"core", {count, first.height, first.width}}};
  const bool deflated = !samples[0].image.empty();
  for (const auto& [name, shape] : arrays) {
    if (deflated) {
      file.declare_deflated(name, shape);
    } else {
      file.declare(name, Hdf5Type::kUint8, shape);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const PackedSample& packed = samples[static_cast<size_t>(i)];
    const Sample& pixels = packed.sample.pixels;
    if (deflated) {
      file.write_chunk("image", i, packed.image);
      file.write_chunk("mask", i, packed.mask);
      file.write_chunk("core", i, packed.core);
    } else {
      file.write_row("image", i, pixels.image.pixels.data());
      file.write_row("mask", i, pixels.mask.pixels.data());
      file.write_row("core", i, pixels.core.pixels.data());
    }
  }
}

void write_file(const std::filesystem::path& path,
                const ShardHead& head,
                std::span<const PackedSample> samples) {
  const auto count = static_cast<int64_t>(samples.size());
  const Image& first = samples[0].sample.pixels.image;
  const auto parts = static_cast<int64_t>(quality_part_names().size());

  std::vector<float> colors, palettes, qualities, all_parts, wall_shares;
  std::vector<uint64_t> rooms, checksums, sources;
  std::vector<std::string> ids, captions;
  for (const PackedSample& packed : samples) {
    const ShardSample& sample = packed.sample;
    colors.insert(colors.end(), sample.color.begin(), sample.color.end());
    for (const PaletteColor& color : sample.palette)
      palettes.insert(palettes.end(), color.begin(), color.end());
    qualities.push_back(sample.quality);
    all_parts.insert(all_parts.end(), sample.quality_parts.begin(), sample.quality_parts.end());
    const auto room = room_row(sample.room);
    rooms.insert(rooms.end(), room.begin(), room.end());
    checksums.push_back(packed.checksum);
    sources.push_back(packed.source);
    wall_shares.push_back(packed.wall_share);
    ids.push_back(sample.id);
    captions.push_back(sample.caption);
  }

  Hdf5Writer file(path);
  file.attribute("format", std::string("limewash-shard"));
  file.attribute("version", kShardVersion);
  file.attribute("height", first.height);
  file.attribute("width", first.width);
  file.attribute("configuration", head.configuration);
  file.attribute("split", head.split);
  file.attribute("quality_part_names", quality_part_names());
  file.attribute(
      "fingerprint",
      shard_fingerprint(head, first.height, first.width, checksums, sources, wall_shares));
  file.texts("id", ids);
  file.texts("caption", captions);
  file.dataset("color", Hdf5Type::kFloat32, {count, 3}, colors.data());
  file.dataset("palette", Hdf5Type::kFloat32, {count, kPaletteColors, 4}, palettes.data());
  file.dataset("quality", Hdf5Type::kFloat32, {count}, qualities.data());
  file.dataset("quality_parts", Hdf5Type::kFloat32, {count, parts}, all_parts.data());
  file.dataset("wall_share", Hdf5Type::kFloat32, {count}, wall_shares.data());
  file.dataset("room", Hdf5Type::kUint64, {count, 3}, rooms.data());
  file.dataset("source", Hdf5Type::kUint64, {count}, sources.data());
  file.dataset("checksum", Hdf5Type::kUint64, {count}, checksums.data());
  write_pixels(file, samples);
  file.close(false);
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

int64_t PackedSample::pixel_bytes() const {
  return sample.pixels.image.height * sample.pixels.image.width * 5;
}

PackedSample pack(ShardSample&& sample, uint64_t source, bool gzip) {
  check_sample(sample);
  PackedSample packed{std::move(sample), 0, 0, source, {}, {}, {}};
  packed.wall_share = static_cast<float>(wall_share(packed.sample.pixels.mask));
  packed.checksum = sample_checksum(packed.sample);
  if (!gzip) return packed;
  const auto deflate = [](std::vector<uint8_t>& pixels) {
    std::vector<uint8_t> deflated = deflate_bytes(pixels);
    std::vector<uint8_t>().swap(pixels);
    return deflated;
  };
  packed.image = deflate(packed.sample.pixels.image.pixels);
  packed.mask = deflate(packed.sample.pixels.mask.pixels);
  packed.core = deflate(packed.sample.pixels.core.pixels);
  return packed;
}

ShardSummary write_shard(const std::filesystem::path& path,
                         const ShardHead& head,
                         std::span<const PackedSample> samples) {
  if (samples.empty()) throw InputError(path.string() + ": a shard needs at least one sample");
  const Image& first = samples[0].sample.pixels.image;
  for (const PackedSample& packed : samples) {
    const Image& image = packed.sample.pixels.image;
    if (image.height != first.height || image.width != first.width ||
        packed.image.empty() != samples[0].image.empty())
      throw InputError("sample " + packed.sample.id + " does not fit the shard's sizes");
  }
  const std::filesystem::path temporary = path.string() + ".tmp";
  ShardSummary summary;
  try {
    write_file(temporary, head, samples);
    // The disk works while the bytes are read back.
    std::future<void> synced = std::async(std::launch::async, [&] { sync_path(temporary); });
    const ShardReader written(temporary);
    summary = written.summary();
    // Reading compares the bytes with the checksum in the file.
    ordered_parallel<uint64_t>(
        0,
        static_cast<int64_t>(samples.size()),
        kVerifiers,
        2 * kVerifiers,
        [&](int64_t i) {
          Sample pixels = written.read(i).pixels;
          for (auto* values : {&pixels.image.pixels, &pixels.mask.pixels, &pixels.core.pixels})
            keep_pixel_memory(std::move(*values));
          return written.info(i).checksum;
        },
        [&](int64_t i, uint64_t checksum) {
          const PackedSample& packed = samples[static_cast<size_t>(i)];
          if (checksum != packed.checksum)
            throw InputError(path.string() + ": sample " + packed.sample.id +
                             " reads back differently from what was written");
          return true;
        });
    summary.file_hash = to_hex(hash_of_file(temporary));
    synced.get();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
  publish(temporary, path);
  return summary;
}

ShardSummary write_shard(const std::filesystem::path& path,
                         const std::string& configuration,
                         std::span<const ShardSample> samples,
                         bool gzip) {
  std::vector<PackedSample> packed;
  for (const ShardSample& sample : samples) packed.push_back(pack(ShardSample(sample), 0, gzip));
  return write_shard(path, ShardHead{configuration}, packed);
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
  head_ = {reader.text_attribute("configuration"), reader.text_attribute("split")};
  part_names_ = reader.text_list_attribute("quality_part_names");
  const auto parts = static_cast<int64_t>(part_names_.size());
  if (parts > kMaxParts) throw InputError(name + ": has too many quality parts");

  // The checksums come first: their place in the file bounds the number of samples.
  const Hdf5Array checksums = reader.array("checksum", Hdf5Type::kUint64, {-1});
  const int64_t count = checksums.shape[0];
  if (count < 1) throw InputError(name + ": has no samples");
  checksums_ = reader.read_all<uint64_t>(checksums);
  image_ = reader.rows("image", {count, height, width, 3});
  mask_ = reader.rows("mask", {count, height, width});
  core_ = reader.rows("core", {count, height, width});
  const auto colors = reader.read_all<float>(reader.array("color", Hdf5Type::kFloat32, {count, 3}));
  palette_ = reader.read_all<float>(
      reader.array("palette", Hdf5Type::kFloat32, {count, kPaletteColors, 4}));
  const auto qualities =
      reader.read_all<float>(reader.array("quality", Hdf5Type::kFloat32, {count}));
  quality_parts_ =
      reader.read_all<float>(reader.array("quality_parts", Hdf5Type::kFloat32, {count, parts}));
  const auto rooms = reader.read_all<uint64_t>(reader.array("room", Hdf5Type::kUint64, {count, 3}));
  wall_shares_ = reader.read_all<float>(reader.array("wall_share", Hdf5Type::kFloat32, {count}));
  sources_ = reader.read_all<uint64_t>(reader.array("source", Hdf5Type::kUint64, {count}));
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
    info.height = height;
    info.width = width;
    info.checksum = checksums_[at];
    if (rooms[at * 3 + 2] != 0) {
      if (rooms[at * 3 + 2] > static_cast<uint64_t>(kMaxSide))
        throw InputError(name + ": sample " + info.id + " names a room of impossible size");
      info.room =
          RoomSource{rooms[at * 3], rooms[at * 3 + 1], static_cast<int64_t>(rooms[at * 3 + 2])};
    }
    infos_.push_back(std::move(info));
  }
  summary_ = {count, height, width, file_.size(), reader.text_attribute("fingerprint"), {}};
  if (summary_.fingerprint !=
      shard_fingerprint(head_, height, width, checksums_, sources_, wall_shares_))
    throw InputError(name + ": its fingerprint does not fit its checksums: the file is damaged");
}

const ShardSummary& ShardReader::summary() const {
  return summary_;
}

const ShardHead& ShardReader::head() const {
  return head_;
}

const std::vector<std::string>& ShardReader::quality_part_names() const {
  return part_names_;
}

std::vector<float> ShardReader::quality_parts(int64_t index) const {
  return row(quality_parts_, index);
}

float ShardReader::wall_share(int64_t index) const {
  return wall_shares_.at(static_cast<size_t>(index));
}

uint64_t ShardReader::source(int64_t index) const {
  return sources_.at(static_cast<size_t>(index));
}

const SampleInfo& ShardReader::info(int64_t index) const {
  return infos_.at(static_cast<size_t>(index));
}

void ShardReader::set_bucket(int64_t bucket) {
  for (SampleInfo& info : infos_) info.bucket = bucket;
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

  const std::string place =
      path_.string() + ": sample " + std::to_string(index) + " (" + sample.id + ")";
  const auto pixels_of = [&](const Hdf5Rows& rows) {
    try {
      return read_row(file_, rows, index);
    } catch (const InputError& error) {
      throw InputError(place + " cannot be read: " + error.what());
    }
  };
  sample.pixels.image = {summary_.height, summary_.width, pixels_of(image_)};
  sample.pixels.mask = {summary_.height, summary_.width, pixels_of(mask_)};
  sample.pixels.core = {summary_.height, summary_.width, pixels_of(core_)};
  if (sample_checksum(sample) != checksums_[static_cast<size_t>(index)])
    throw InputError(place + " is damaged: its bytes do not fit their checksum");
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
