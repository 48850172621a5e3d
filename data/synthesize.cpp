#include "data/synthesize.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <sched.h>

#include <nlohmann/json.hpp>

#include "data/image_io.h"
#include "data/mask_corruption.h"
#include "data/ordered_parallel.h"
#include "data/room.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/progress.h"
#include "runtime/random.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string room_name(int64_t id) {
  std::array<char, 32> name;
  std::snprintf(name.data(), name.size(), "room-%06lld", static_cast<long long>(id));
  return name.data();
}

Rgb own_paint(uint64_t seed, uint64_t id) {
  return draw_paint(RandomStream(seed, Purpose::kPaint, 0, id));
}

Rgb repaint(uint64_t seed, uint64_t id, int64_t k) {
  return draw_paint(RandomStream(seed, Purpose::kPaint, static_cast<uint64_t>(1 + k), id));
}

ordered_json manifest(const SynthesizeOptions& options) {
  const auto seed = static_cast<uint64_t>(options.seed);
  ordered_json rooms = ordered_json::array();
  for (int64_t id = 0; id < options.count; ++id) {
    const std::string name = room_name(id);
    const auto number = static_cast<uint64_t>(id);
    ordered_json repaints = ordered_json::array();
    for (int64_t k = 0; k < options.repaints; ++k) {
      repaints.push_back({{"image", "repaints/" + name + "-" + std::to_string(k) + ".png"},
                          {"paint", repaint(seed, number, k)}});
    }
    rooms.push_back({{"image", "images/" + name + ".png"},
                     {"mask", "masks/" + name + ".png"},
                     {"id", number},
                     {"paint", own_paint(seed, number)},
                     {"repaints", repaints}});
    if (options.corruptions == 0) continue;
    ordered_json& corrupted = rooms.back()["corrupted"] = ordered_json::array();
    for (int64_t k = 0; k < options.corruptions; ++k)
      corrupted.push_back({{"mask", "corrupted/" + name + "-" + std::to_string(k) + ".png"}});
  }
  return {{"format", 1}, {"seed", seed}, {"size", options.size}, {"rooms", rooms}};
}

/// What only rendering tells is left out.
ordered_json without_measurements(ordered_json manifest) {
  if (!manifest.is_object() || !manifest.contains("rooms")) return manifest;
  for (ordered_json& room : manifest["rooms"]) {
    if (!room.is_object() || !room.contains("corrupted")) continue;
    for (ordered_json& wrong : room["corrupted"]) {
      if (!wrong.is_object()) continue;
      wrong.erase("kind");
      wrong.erase("iou");
    }
  }
  return manifest;
}

/// Refuse to write over what is not ours, and clear away rooms of another configuration.
void prepare_folder(const SynthesizeOptions& options, const ordered_json& rooms) {
  const fs::path out = options.out;
  std::error_code failure;
  fs::create_directories(out, failure);
  if (failure || !fs::is_directory(out)) {
    throw InputError(out.string() + ": cannot be made a folder" +
                     (failure ? ": " + failure.message() : std::string()));
  }
  const fs::path file = out / "rooms.json";
  if (!fs::exists(file)) {
    if (!fs::is_empty(out, failure)) {
      throw InputError(out.string() +
                       ": is not empty and holds no rooms.json; choose another folder");
    }
    return;
  }
  const ordered_json there = ordered_json::parse(read_file(file), nullptr, false);
  if (without_measurements(there) == rooms) return;
  if (!options.overwrite) {
    throw InputError(file.string() +
                     ": holds rooms of another configuration; synthesize.overwrite replaces them");
  }
  for (const char* folder : {"images", "masks", "repaints", "corrupted"})
    fs::remove_all(out / folder, failure);
}

/// Encoded files of one room, by path below OUT.
struct RoomFiles {
  std::vector<std::pair<std::string, std::string>> files;
  ordered_json corrupted = ordered_json::array();  ///< entries of the manifest
};

RoomFiles render(const ordered_json& entry, uint64_t seed, int64_t size) {
  const auto id = entry.at("id").get<uint64_t>();
  const Room room(seed, id, size);
  const Image photo = room.render(entry.at("paint").get<Rgb>());
  RoomFiles rendered;
  rendered.files.emplace_back(entry.at("image"), encode_png(photo));
  rendered.files.emplace_back(entry.at("mask"), encode_png(room.mask()));
  for (const ordered_json& other : entry.at("repaints")) {
    rendered.files.emplace_back(other.at("image"),
                                encode_png(room.render(other.at("paint").get<Rgb>())));
  }
  if (!entry.contains("corrupted")) return rendered;
  for (const ordered_json& wrong : entry["corrupted"]) {
    const CorruptedMask made =
        corrupt_mask(photo, room.mask(), seed, rendered.corrupted.size(), id);
    rendered.files.emplace_back(wrong.at("mask"), encode_png(made.mask));
    rendered.corrupted.push_back(
        {{"mask", wrong.at("mask")}, {"kind", corruption_name(made.kind)}, {"iou", made.iou}});
  }
  return rendered;
}

int thread_count(int64_t wanted) {
  if (wanted > 0) return static_cast<int>(wanted);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

}  // namespace

void SynthesizeOptions::describe(config::Fields& fields) {
  fields.field("out", out, "folder to write to");
  fields.field("count", count, "number of rooms", {1, 1'000'000});
  fields.field("size", size, "pixels of a side", {16, 4096});
  fields.field(
      "seed", seed, "of geometry, light and paints", {0, std::numeric_limits<int64_t>::max()});
  fields.field("repaints", repaints, "exact repaints of each room", {0, 1000});
  fields.field("corruptions", corruptions, "wrong masks of each room, of known error", {0, 1000});
  fields.field("threads", threads, "0: all cores", {0, 1024});
  fields.field("overwrite", overwrite, "replace rooms of another configuration");
}

void SynthesizeOptions::validate() const {
  if (out.empty()) throw ConfigError("synthesize.out: is empty, expected the folder to write to");
}

SynthesizeReport synthesize(const SynthesizeOptions& options) {
  options.validate();
  const auto start = std::chrono::steady_clock::now();
  const auto seed = static_cast<uint64_t>(options.seed);
  ordered_json rooms = manifest(options);
  prepare_folder(options, rooms);

  const fs::path out = options.out;
  for (const char* folder : {"images", "masks", "repaints", "corrupted"}) {
    if (folder == std::string_view("repaints") && options.repaints == 0) continue;
    if (folder == std::string_view("corrupted") && options.corruptions == 0) continue;
    std::error_code failure;
    fs::create_directories(out / folder, failure);
    if (failure)
      throw InputError((out / folder).string() + ": cannot be made: " + failure.message());
  }
  // First, so that a run that was cut short is known as ours.
  write_file_atomically(out / "rooms.json", rooms.dump(1) + "\n");

  SynthesizeReport report;
  const ordered_json planned = rooms["rooms"];
  Progress progress("rooms", options.count, "rooms", true);
  const int threads = thread_count(options.threads);
  ordered_parallel<RoomFiles>(
      0,
      options.count,
      threads,
      4 * threads,
      [&](int64_t i) { return render(planned.at(static_cast<size_t>(i)), seed, options.size); },
      [&](int64_t i, const RoomFiles& rendered) {
        for (const auto& [path, bytes] : rendered.files) write_encoded(out / path, bytes);
        if (options.corruptions > 0)
          rooms["rooms"][static_cast<size_t>(i)]["corrupted"] = rendered.corrupted;
        ++report.rooms;
        report.repaints += options.repaints;
        progress.advance();
        report.stopped = stop_requested();
        return !report.stopped;
      });
  report.stopped = report.stopped && report.rooms < options.count;
  progress.finish();
  if (options.corruptions > 0) write_file_atomically(out / "rooms.json", rooms.dump(1) + "\n");
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace limewash::data
