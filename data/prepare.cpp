#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <iterator>
#include <optional>
#include <sched.h>
#include <thread>
#include <utility>

#include <opencv2/core.hpp>
#include <spdlog/spdlog.h>

#include "data/mask_quality.h"
#include "data/ordered_parallel.h"
#include "data/photo_pairs.h"
#include "data/prepare_photo.h"
#include "data/prepare_plan.h"
#include "data/prepare_report.h"
#include "data/room_manifest.h"
#include "data/shard_groups.h"
#include "data/split.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

/// Photos in work or waiting, for each worker.
constexpr int64_t kWindow = 8;

/// Pixels that wait for their shards; more only where many groups of large samples need it. As much
/// again may be in writing.
constexpr int64_t kMostWaiting = int64_t{1} << 30;
constexpr int64_t kLargestSample = int64_t{4096} * 4096 * 5;

int64_t most_waiting(const PrepareOptions& options) {
  const auto groups = static_cast<int64_t>(std::size(kSplits)) *
                      std::max<int64_t>(1, static_cast<int64_t>(options.buckets.size()));
  return std::max(kMostWaiting, groups * kLargestSample);
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

/// What a worker makes of a photo.
struct Prepared {
  PreparedPhoto photo;
  PackedSample packed;  ///< where the photo was not rejected
};

/// A shard that a thread is writing, and what the index gets when it is there.
struct Writing {
  ShardEntry entry;
  std::vector<Rejection> rejections;
  std::future<ShardSummary> summary;
};

/// One call of prepare: the state between the photos.
class Job {
 public:
  Job(const PrepareOptions& options, const MaskScorer& scorer, const PrepareMode& mode)
      : options_(options),
        scorer_(scorer),
        dry_run_(mode.dry_run),
        out_(options.out),
        pairs_(find_photo_pairs(options)),
        rooms_(photos_folder(options.images)),
        // A dry run of everything takes no notice of what an earlier call made.
        plan_(mode.dry_run && !mode.append
                  ? plan_anew(shaping_configuration(options), pairs_)
                  : plan_prepare(out_, shaping_configuration(options), pairs_, mode.append)),
        index_(plan_.index),
        groups_(options.shard_size, most_waiting(options)),
        seen_(quality_part_names()) {
    if (plan_.changes_index && !dry_run_) write_index(out_, index_);
    if (plan_.photos.empty() && index_.complete)
      spdlog::info("{}: prepared before, nothing to do", options.out);
    else if (index_.photos_done > 0)
      spdlog::info(
          "{}: going on after {} of {} photos", options.out, index_.photos_done, index_.photos);
  }

  /// Do what is left; returns whether it came to the end.
  bool run() {
    if (index_.complete && plan_.photos.empty()) return true;
    const int workers = count_workers(options_.workers);
    Progress progress("prepare", index_.photos, "photos", true, index_.photos_done);
    bool stopped = false;
    ordered_parallel<Prepared>(
        0,
        static_cast<int64_t>(plan_.photos.size()),
        workers,
        kWindow * workers,
        [&](int64_t i) { return make(plan_.photos[static_cast<size_t>(i)]); },
        [&](int64_t i, Prepared&& prepared) {
          stopped = stop_requested();
          if (stopped) return false;
          take(plan_.photos[static_cast<size_t>(i)], std::move(prepared));
          ++done_;
          progress.advance();
          return true;
        });
    progress.finish();
    if (!stopped)
      while (auto rest = groups_.take_rest()) write(std::move(*rest));
    enter_written();
    if (stopped) return false;
    finish();
    return true;
  }

  const DatasetIndex& index() const {
    return index_;
  }
  int64_t photos_done() const {
    return done_;
  }
  DatasetSummary summary() const {
    return dry_run_ ? seen_ : summarize(out_, index_);
  }

 private:
  /// On any thread.
  Prepared make(size_t place) const {
    const PhotoPair& pair = pairs_[place];
    Prepared prepared{prepare_photo(pair, options_, rooms_, scorer_), {}};
    const uint64_t source = source_of(pair);
    if (prepared.photo.sample) {
      prepared.packed = pack(
          std::move(*prepared.photo.sample), source, options_.compression == "gzip" && !dry_run_);
    } else {
      Rejection& rejection = prepared.photo.rejection;
      rejection.photo = valid_utf8(rejection.photo);
      rejection.detail = valid_utf8(rejection.detail);
      rejection.id = plan_.ids[place];
      rejection.source = source;
    }
    return prepared;
  }

  void take(size_t place, Prepared&& prepared) {
    if (prepared.photo.foreign_room && !warned_of_rooms_) {
      spdlog::warn("{}: is not what rooms.json says; it and its like count as ordinary photos",
                   pairs_[place].id);
      warned_of_rooms_ = true;
    }
    if (prepared.photo.enlarged) ++enlarged_;
    if (!prepared.photo.sample) {
      Rejection& rejection = prepared.photo.rejection;
      spdlog::info("rejected {}: {}", rejection.photo, rejection.detail);
      rejections_.push_back(std::move(rejection));
      return;
    }
    const std::string split =
        split_of(plan_.ids[place], options_.validation_share, options_.test_share);
    if (dry_run_) {
      const ShardSample& sample = prepared.packed.sample;
      seen_.add(split,
                sample.pixels.image.height,
                sample.pixels.image.width,
                prepared.packed.wall_share,
                sample.quality,
                sample.quality_parts);
    } else if (auto shard = groups_.add(split, std::move(prepared.packed))) {
      write(std::move(*shard));
    }
  }

  /// Written by a thread of its own while the next photos are prepared, one shard at a time.
  void write(ShardGroups::Shard&& shard) {
    enter_written();
    ShardEntry entry{shard_file_name(index_.shards.size()), {}, shard.split};
    auto summary = std::async(
        std::launch::async,
        [path = out_ / entry.file,
         head = ShardHead{index_.configuration, shard.split},
         samples = std::move(shard.samples)] { return write_shard(path, head, samples); });
    writing_ = Writing{std::move(entry), std::exchange(rejections_, {}), std::move(summary)};
  }

  /// Wait for the shard in writing and enter it, together with the rejections before it.
  void enter_written() {
    if (!writing_) return;
    Writing written = std::move(*writing_);
    writing_.reset();
    written.entry.summary = written.summary.get();
    index_.shards.push_back(std::move(written.entry));
    enter(std::move(written.rejections));
    write_index(out_, index_);
  }

  void enter(std::vector<Rejection>&& rejections) {
    std::move(rejections.begin(), rejections.end(), std::back_inserter(index_.rejections));
    index_.photos_done = index_.samples() + static_cast<int64_t>(index_.rejections.size());
  }

  void finish() {
    enter(std::exchange(rejections_, {}));
    if (enlarged_ > 0)
      spdlog::warn("{} photos are smaller than the samples and were enlarged", enlarged_);
    if (dry_run_) return;
    index_.complete = true;
    write_prepare_report(out_, index_);
    write_index(out_, index_);
  }

  const PrepareOptions& options_;
  const MaskScorer& scorer_;
  const bool dry_run_;
  const fs::path out_;
  const std::vector<PhotoPair> pairs_;
  const RoomManifest rooms_;
  const PreparePlan plan_;
  DatasetIndex index_;
  ShardGroups groups_;
  DatasetSummary seen_;                ///< by a dry run
  std::vector<Rejection> rejections_;  ///< since the last shard
  std::optional<Writing> writing_;
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

/// What a killed call left half-written; nobody else writes while the folder is locked.
void remove_temporaries(const fs::path& out) {
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    const bool shard = name.starts_with("shard-") && name.ends_with(".h5.tmp");
    bool file = false;
    for (const char* kind : {".index.json.tmp-", ".report.json.tmp-", ".rejected.txt.tmp-"})
      file = file || name.starts_with(kind);
    if (shard || file) left.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& path : left) fs::remove(path, ignored);
}

/// Make the folder and keep others out of it.
std::optional<FolderLock> lock_output(const fs::path& out) {
  std::error_code error;
  fs::create_directories(out, error);
  if (error)
    throw InputError("prepare.out: " + out.string() + " cannot be made: " + error.message());
  return std::optional<FolderLock>(std::in_place, out);
}

}  // namespace

PrepareReport prepare(const PrepareOptions& options,
                      const MaskScorer& scorer,
                      const PrepareMode& mode) {
  require("images", options.images);
  if (!mode.dry_run || mode.append) require("out", options.out);
  options.validate();
  const auto begin = std::chrono::steady_clock::now();
  const auto lock = mode.dry_run ? std::nullopt : lock_output(options.out);
  if (lock) remove_temporaries(options.out);
  const SingleThreadedOpenCv single_threaded;

  Job job(options, scorer, mode);
  PrepareReport report;
  report.stopped = !job.run();

  const DatasetIndex& index = job.index();
  report.photos = index.photos;
  report.summary = job.summary();
  report.kept = report.summary.samples();
  report.rejections = index.rejections;
  report.rejected = count_reasons(index.rejections);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  report.photos_now = job.photos_done();
  report.photos_per_second = static_cast<double>(report.photos_now) / report.seconds;
  if (!report.stopped && !mode.dry_run) refuse_empty(options.out, report);
  return report;
}

}  // namespace limewash::data
