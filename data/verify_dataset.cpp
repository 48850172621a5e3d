#include "data/verify_dataset.h"

#include <unordered_map>

#include "data/file_hash.h"
#include "data/hash.h"
#include "data/ordered_parallel.h"
#include "runtime/error.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::data {

Verification verify_dataset(const std::filesystem::path& folder,
                            const DatasetIndex& index,
                            int threads) {
  Verification result;
  Progress progress("verify", index.samples(), "samples", true, 0);
  std::unordered_map<uint64_t, std::string> owners;  // stable id -> shard
  for (const ShardEntry& entry : index.shards) {
    if (result.stopped) break;
    const size_t before = result.problems.size();
    try {
      const ShardReader shard = open_shard(folder, entry);
      ordered_parallel<std::string>(
          0,
          entry.summary.samples,
          threads,
          4 * threads,
          [&](int64_t i) -> std::string {
            try {
              shard.read(i);
              return "";
            } catch (const InputError& error) {
              return error.what();
            }
          },
          [&](int64_t i, std::string&& problem) {
            const auto [owner, added] = owners.emplace(shard.info(i).stable_id, entry.file);
            if (problem.empty() && !added)
              problem = (folder / entry.file).string() + ": sample " + std::to_string(i) + " (" +
                        shard.info(i).id + ") has the id of a sample in " + owner->second;
            if (problem.empty()) {
              ++result.samples;
            } else {
              result.problems.push_back(std::move(problem));
            }
            progress.advance();
            result.stopped = stop_requested();
            return !result.stopped;
          });
      if (!result.stopped && result.problems.size() == before &&
          to_hex(hash_of_file(folder / entry.file)) != entry.summary.file_hash)
        result.problems.push_back((folder / entry.file).string() +
                                  ": its samples are intact, but other bytes of it changed: it "
                                  "does not fit the file_hash in index.json");
    } catch (const InputError& error) {
      result.problems.emplace_back(error.what());
      progress.advance(entry.summary.samples);
    }
  }
  progress.finish();
  return result;
}

}  // namespace limewash::data
