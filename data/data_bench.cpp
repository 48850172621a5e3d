#include "data/data_bench.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <malloc.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "data/bench_inputs.h"
#include "data/loader.h"
#include "data/prepare.h"
#include "runtime/captured_process.h"
#include "runtime/communicator.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 3;
constexpr int64_t kBatch = 16;
constexpr uint64_t kSeed = 1;
constexpr double kMebibyte = 1 << 20;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double resident_mib() {
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / kMebibyte;
}

LoaderOptions loader_options(int64_t workers) {
  LoaderOptions options;
  options.workers = workers;
  return options;
}

PlanBatch whole_steps(const SampleOrder& order) {
  return [&order](int64_t number) {
    const StepPlan step = order.step(number);
    return BatchPlan{step.bucket, step.first, kBatch};
  };
}

/// The best rate of a few rounds of `samples` samples each.
template <class Loader>
double best_rate(Loader& loader, int64_t samples) {
  const int64_t batches = std::max<int64_t>(1, samples / kBatch);
  double best = 0;
  loader.next();  // starts the threads
  for (int round = 0; round < kRounds && !stop_requested(); ++round) {
    const auto begin = Clock::now();
    for (int64_t i = 0; i < batches; ++i) loader.next();
    best = std::max(best, static_cast<double>(batches * kBatch) / seconds_since(begin));
  }
  return best;
}

void measure_raw(const fs::path& folder, const DataBenchOptions& options, DataBenchReport& report) {
  spdlog::info("loading pixels");
  const int64_t samples = std::max<int64_t>(kBatch, options.samples / 4);
  make_pixel_dataset(folder, samples, 512);
  const Dataset dataset(folder);
  const SampleOrder order(kSeed, kBatch, bucket_members(dataset));
  PixelLoader loader(dataset, order, whole_steps(order), loader_options(report.workers));
  report.raw_samples_per_second = best_rate(loader, 3 * samples);
}

/// Load `options.loads` samples and watch the memory.
void watch_memory(CachedLoader& loader, const DataBenchOptions& options, DataBenchReport& report) {
  const int64_t batches = std::max<int64_t>(10, options.loads / kBatch);
  ::malloc_trim(0);  // what was freed before must not hide what grows
  double early = 0, all = 0;
  for (int64_t i = 0; i < batches && !stop_requested(); ++i) {
    loader.next();
    all = std::max(all, resident_mib());
    if (i < batches / 10) early = all;
  }
  report.loads = batches * kBatch;
  report.rss_growth_mib = all - early;
}

void measure_cached(const fs::path& folder,
                    const DataBenchOptions& options,
                    DataBenchReport& report) {
  spdlog::info("loading cached samples");
  // Latents of 64 x 64 out of pictures of that size: nothing but the encoders' work is left out.
  make_pixel_dataset(folder, std::max<int64_t>(kBatch, options.samples), 64);
  const Dataset dataset(folder);
  const SampleOrder order(kSeed, kBatch, bucket_members(dataset));
  const auto alone = make_single_process_communicator();
  for (const bool in_memory : {false, true}) {
    LatentCacheOptions cache_options;
    cache_options.recolorings = 1;
    cache_options.seed = kSeed;
    if (!in_memory) cache_options.max_bytes_in_memory = 0;
    const auto cache = LatentCache::open(dataset, cache_options, cheap_encoders(), *alone);
    if (cache == nullptr) return;
    CachedLoader loader(dataset,
                        *cache,
                        order,
                        whole_steps(order),
                        kSeed,
                        cache_options.recolorings,
                        loader_options(report.workers));
    const double rate = best_rate(loader, 3 * dataset.size());
    if (in_memory) {
      report.cached_in_memory_samples_per_second = rate;
      const CachedBatch batch = loader.next();
      report.cached_sample_bytes = batch.memory.bytes / kBatch;
    } else {
      report.cached_samples_per_second = rate;
      watch_memory(loader, options, report);
    }
  }
}

/// Photos a second of the peer.
double run_peer(const DataBenchOptions& options,
                const fs::path& images,
                const fs::path& masks,
                const fs::path& out,
                int64_t workers) {
  constexpr double kLongest = 24 * 3600;
  auto command = options.peer;
  command.insert(command.end(),
                 {"--images",
                  images.string(),
                  "--masks",
                  masks.string(),
                  "--out",
                  out.string(),
                  "--workers",
                  std::to_string(workers)});
  const auto done = run_captured(command, {}, kLongest);
  const std::string& name = options.peer.back();
  if (done.status != 0)
    throw InputError(name + ": ended with status " + std::to_string(done.status) + ": " +
                     done.last_line());
  const auto line = done.last_output_line();
  const auto result = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!result.is_object() || !result.contains("images_per_second") ||
      !result["images_per_second"].is_number())
    throw InputError(name + ": its last line is no JSON with images_per_second: " + line);
  return result["images_per_second"].get<double>();
}

void measure_prepare(const fs::path& folder,
                     const DataBenchOptions& options,
                     DataBenchReport& report) {
  PrepareOptions prepare_options = options.prepare;
  prepare_options.workers = report.workers;
  if (prepare_options.images.empty()) {
    if (options.photos == 0) return;
    spdlog::info("rendering {} rooms", options.photos);
    make_photos(folder, options.photos, report.workers);
    prepare_options.images = (folder / "images").string();
    prepare_options.masks = (folder / "masks").string();
  }
  spdlog::info("preparing photos");
  // In turns, so that both see the machine in the same state.
  for (int round = 0; round < kRounds && !stop_requested(); ++round) {
    prepare_options.out = (folder / ("dataset-" + std::to_string(round))).string();
    const auto done = prepare(prepare_options);
    if (done.stopped) return;
    report.photos = done.photos;
    report.prepare_photos_per_second =
        std::max(report.prepare_photos_per_second.value_or(0), done.photos_per_second);
    if (options.peer.empty()) continue;
    const double rate = run_peer(options,
                                 prepare_options.images,
                                 prepare_options.masks,
                                 folder / ("peer-" + std::to_string(round)),
                                 report.workers);
    report.peer_photos_per_second = std::max(report.peer_photos_per_second.value_or(0), rate);
  }
}

}  // namespace

void DataBenchOptions::validate() const {
  prepare.validate();
  const auto check = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw ConfigError(std::string(name) + ": " + std::to_string(value) + ", expected " +
                        std::to_string(low) + " to " + std::to_string(high));
  };
  check("--photos", photos, 0, 100'000);
  check("--samples", samples, 1, 10'000'000);
  check("--loads", loads, 1, 1'000'000'000'000);
  check("--workers", workers, 0, 1024);
  if (prepare.images.empty() != prepare.masks.empty())
    throw ConfigError("--images and --masks: expected both or neither");
  if (!peer.empty() && prepare.images.empty() && photos == 0)
    throw ConfigError("--peer: has no photos to work on; expected --photos above 0, or --images");
}

DataBenchReport bench_data(const DataBenchOptions& options) {
  options.validate();
  DataBenchReport report;
  report.workers = options.workers > 0 ? options.workers : read_core_limits().usable();
  const BenchFolder folder;
  measure_prepare(folder.path() / "photos", options, report);
  if (!stop_requested()) measure_raw(folder.path() / "raw", options, report);
  if (!stop_requested()) measure_cached(folder.path() / "cached", options, report);
  report.peak_rss_mib = static_cast<double>(peak_resident_bytes()) / kMebibyte;
  report.stopped = stop_requested();
  return report;
}

}  // namespace limewash::data
