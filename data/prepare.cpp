#include "data/prepare.h"

#include <chrono>
#include <memory>
#include <optional>
#include <sched.h>
#include <set>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <spdlog/spdlog.h>

#include "data/ordered_parallel.h"
#include "data/photo_pairs.h"
#include "data/prepare_photo.h"
#include "data/room_manifest.h"
#include "data/shard.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// Photos in work or waiting, for each worker.
constexpr int64_t kWindow = 8;

/// The options that shape the bytes, as a JSON object. Where the files lie and how many work on
/// them does not.
std::string shaping_configuration(const PrepareOptions& options) {
  static const std::set<std::string> kWithoutEffect{"images", "masks", "out", "workers"};
  ordered_json object = ordered_json::object();
  for (const auto& [key, text] : config::flatten(options)) {
    if (kWithoutEffect.count(key) > 0) continue;
    const auto value = ordered_json::parse(text, nullptr, false);
    object[key] = value.is_discarded() ? ordered_json(text) : value;
  }
  return object.dump();
}

/// `size: 128 there, 256 now`, of all options that differ.
std::string difference(const std::string& before, const std::string& now) {
  const auto left = ordered_json::parse(before), right = ordered_json::parse(now);
  std::string text;
  const auto add = [&](const std::string& key) {
    const std::string there = left.contains(key) ? left[key].dump() : "absent";
    const std::string here = right.contains(key) ? right[key].dump() : "absent";
    if (there != here)
      text += (text.empty() ? "" : "; ") + ("prepare." + key + ": ") + there + " there, " + here +
              " now";
  };
  for (const auto& item : right.items()) add(item.key());
  for (const auto& item : left.items())
    if (!right.contains(item.key())) add(item.key());
  return text;
}

/// A folder without an index must be as good as empty: nothing of others is mixed with or replaced.
void refuse_foreign_files(const fs::path& out) {
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || name.ends_with(".tmp")) continue;
    throw InputError("prepare.out: " + out.string() + " holds " + name +
                     ", but no index.json: it is no dataset; name an empty folder");
  }
}

int count_workers(int64_t workers) {
  if (workers > 0) return static_cast<int>(workers);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// The workers are the parallelism; OpenCV's own threads would only stand in their way.
class SingleThreadedOpenCv {
 public:
  SingleThreadedOpenCv() : before_(cv::getNumThreads()) {
    cv::setNumThreads(1);
  }
  ~SingleThreadedOpenCv() {
    cv::setNumThreads(before_);
  }
  SingleThreadedOpenCv(const SingleThreadedOpenCv&) = delete;
  SingleThreadedOpenCv& operator=(const SingleThreadedOpenCv&) = delete;

 private:
  int before_;
};

std::map<std::string, int64_t> count_reasons(const std::vector<Rejection>& rejections) {
  std::map<std::string, int64_t> counts;
  for (const Rejection& rejection : rejections) ++counts[rejection.reason];
  return counts;
}

void write_report(const fs::path& out, const DatasetIndex& index) {
  ordered_json rejections = ordered_json::array();
  for (const Rejection& one : index.rejections)
    rejections.push_back({{"photo", one.photo}, {"reason", one.reason}, {"detail", one.detail}});
  const ordered_json report{{"complete", index.complete},
                            {"photos", index.photos},
                            {"photos_done", index.photos_done},
                            {"kept", index.samples()},
                            {"rejected", count_reasons(index.rejections)},
                            {"rejections", rejections}};
  write_file_atomically(out / "report.json",
                        report.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

/// One call of prepare: the state between the photos.
class Job {
 public:
  Job(const PrepareOptions& options, fs::path out)
      : options_(options),
        out_(std::move(out)),
        pairs_(find_photo_pairs(options.images, options.masks)),
        rooms_(options.images) {
    open_index();
  }

  /// Do what is left; returns whether it came to the end.
  bool run() {
    const auto photos = static_cast<int64_t>(pairs_.size());
    const int workers = count_workers(options_.workers);
    Progress progress("prepare", photos, "photos", true, index_.photos_done);
    bool stopped = false;
    ordered_parallel<PreparedPhoto>(
        index_.photos_done,
        photos,
        workers,
        kWindow * workers,
        [&](int64_t i) { return prepare_photo(pairs_[static_cast<size_t>(i)], options_, rooms_); },
        [&](int64_t i, PreparedPhoto&& prepared) {
          stopped = stop_requested();
          if (stopped) return false;
          take(i, std::move(prepared));
          progress.advance();
          return true;
        });
    progress.finish();
    if (stopped) return false;
    if (!gathered_.empty()) write_gathered();
    finish();
    return true;
  }

  const DatasetIndex& index() const {
    return index_;
  }

 private:
  /// Take up the index of an earlier call, or begin one.
  void open_index() {
    const std::string configuration = shaping_configuration(options_),
                      photos_hash = hash_of(pairs_);
    const auto photos = static_cast<int64_t>(pairs_.size());
    const auto known = read_index(out_);
    if (!known) {
      refuse_foreign_files(out_);
      index_.configuration = configuration;
      index_.photos_hash = photos_hash;
      index_.photos = photos;
      write_index(out_, index_);
      return;
    }
    const std::string differs = difference(known->configuration, configuration);
    if (!differs.empty())
      throw InputError("prepare.out: " + out_.string() + " was prepared with other options (" +
                       differs + "); name another folder or remove this one");
    if (known->photos_hash != photos_hash)
      throw InputError("prepare.out: " + out_.string() +
                       " was prepared from other photos or masks (" +
                       std::to_string(known->photos) + " photos there, " + std::to_string(photos) +
                       " now); name another folder or remove this one");
    for (const ShardEntry& shard : known->shards)
      open_listed_shard(out_ / shard.file, shard.summary);
    index_ = *known;
    if (index_.complete)
      spdlog::info("{}: prepared before, nothing to do", out_.string());
    else if (index_.photos_done > 0)
      spdlog::info(
          "{}: going on after {} of {} photos", out_.string(), index_.photos_done, index_.photos);
  }

  void take(int64_t i, PreparedPhoto&& prepared) {
    if (prepared.foreign_room && !warned_of_rooms_) {
      spdlog::warn("{}: is not what rooms.json says; it and its like count as ordinary photos",
                   pairs_[static_cast<size_t>(i)].id);
      warned_of_rooms_ = true;
    }
    if (prepared.enlarged) ++enlarged_;
    if (prepared.sample) {
      gathered_.push_back(std::move(*prepared.sample));
    } else {
      spdlog::info("rejected {}: {}", prepared.rejection.photo, prepared.rejection.detail);
      rejections_.push_back(std::move(prepared.rejection));
    }
    done_ = i + 1;
    if (static_cast<int64_t>(gathered_.size()) == options_.shard_size) write_gathered();
  }

  void write_gathered() {
    ShardEntry shard{shard_file_name(index_.shards.size()), {}};
    shard.summary = write_shard(out_ / shard.file, index_.configuration, gathered_);
    gathered_.clear();
    index_.shards.push_back(std::move(shard));
    enter_progress();
    write_index(out_, index_);
  }

  /// Enter what was done into the index; the photos between two shards belong to the later one.
  void enter_progress() {
    index_.photos_done = std::max(index_.photos_done, done_);
    std::move(rejections_.begin(), rejections_.end(), std::back_inserter(index_.rejections));
    rejections_.clear();
  }

  void finish() {
    enter_progress();
    index_.complete = true;
    write_report(out_, index_);
    write_index(out_, index_);
    if (enlarged_ > 0)
      spdlog::warn(
          "{} photos are smaller than {} pixels and were enlarged", enlarged_, options_.size);
  }

  const PrepareOptions& options_;
  const fs::path out_;
  const std::vector<PhotoPair> pairs_;
  const RoomManifest rooms_;
  DatasetIndex index_;
  std::vector<ShardSample> gathered_;
  std::vector<Rejection> rejections_;
  int64_t done_ = 0, enlarged_ = 0;
  bool warned_of_rooms_ = false;
};

void require(const std::string& key, const std::string& value) {
  if (value.empty())
    throw ConfigError("prepare." + key + " is not set: name a folder (--" + key + ")");
}

void refuse_empty(const fs::path& out, const PrepareReport& report) {
  if (report.kept > 0) return;
  std::string reasons;
  for (const auto& [reason, count] : report.rejected)
    reasons += (reasons.empty() ? "" : ", ") + reason + ": " + std::to_string(count);
  throw InputError("none of " + std::to_string(report.photos) + " photos was kept (" + reasons +
                   "); " + (out / "report.json").string() + " lists them");
}

}  // namespace

void ErosionOptions::describe(config::Fields& fields) {
  fields.field("kernel", kernel, "side of the square, odd, in pixels of the photo", {1, 63});
  fields.field("iterations", iterations, "times that the mask is eroded; 0 = not at all", {0, 32});
}

void PrepareOptions::describe(config::Fields& fields) {
  fields.field("images", images, "folder of photos, searched with its subfolders");
  fields.field("masks", masks, "folder of wall masks (white = wall) under the photos' names");
  fields.field("out", out, "folder of the dataset");
  fields.field("size", size, "pixels of a sample's side, a multiple of 8", {16, 4096});
  fields.field("shard_size", shard_size, "samples of a shard file", {1, 100000});
  fields.section("erosion", erosion);
  fields.field(
      "wall_share", wall_share, "lowest and highest share of wall in a sample", {0.0, 1.0});
  fields.field(
      "quality_threshold", quality_threshold, "lowest mask quality of a sample", {0.0, 1.0});
  fields.field(
      "seed", seed, "picks the pixels that palette and quality look at on large walls", {0});
  fields.field("workers", workers, "photos in work at a time; 0 = one for each core", {0, 1024});
}

void PrepareOptions::validate() const {
  if (size % 8 != 0)
    throw ConfigError("prepare.size: " + std::to_string(size) + " is not a multiple of 8");
  if (erosion.kernel % 2 == 0)
    throw ConfigError("prepare.erosion.kernel: " + std::to_string(erosion.kernel) + " is not odd");
  if (wall_share.empty() || wall_share.size() > 2)
    throw ConfigError("prepare.wall_share: has " + std::to_string(wall_share.size()) +
                      " numbers, expected the lowest and the highest share");
  if (lowest_wall_share() > highest_wall_share())
    throw ConfigError("prepare.wall_share: the lowest share " +
                      std::to_string(lowest_wall_share()) + " is above the highest " +
                      std::to_string(highest_wall_share()));
}

double PrepareOptions::lowest_wall_share() const {
  return wall_share.front();
}

double PrepareOptions::highest_wall_share() const {
  return wall_share.size() > 1 ? wall_share.back() : 1;
}

PrepareReport prepare(const PrepareOptions& options) {
  require("images", options.images);
  require("masks", options.masks);
  require("out", options.out);
  options.validate();
  const auto begin = std::chrono::steady_clock::now();
  const fs::path out = options.out;
  std::error_code error;
  fs::create_directories(out, error);
  if (error)
    throw InputError("prepare.out: " + out.string() + " cannot be made: " + error.message());
  const FolderLock lock(out);
  const SingleThreadedOpenCv single_threaded;

  Job job(options, out);
  const int64_t done_before = job.index().photos_done;
  PrepareReport report;
  if (!job.index().complete) report.stopped = !job.run();

  const DatasetIndex& index = job.index();
  report.photos = index.photos;
  report.kept = index.samples();
  report.rejections = index.rejections;
  report.rejected = count_reasons(index.rejections);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  report.photos_per_second = static_cast<double>(index.photos_done - done_before) / report.seconds;
  if (!report.stopped) refuse_empty(out, report);
  return report;
}

}  // namespace limewash::data
