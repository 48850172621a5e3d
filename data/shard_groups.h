#pragma once
// Samples that wait for their shard: one group for each side and size.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "data/shard.h"

namespace limewash::data {

/// A pure function of the samples added so far: a job that goes on after a kill and adds the ones
/// that no shard holds yet makes the same shards as one that was never interrupted.
class ShardGroups {
 public:
  struct Shard {
    std::string split;
    std::vector<PackedSample> samples;
  };

  /// A shard has at most `shard_size` samples. All groups together hold at most `most_bytes` of
  /// pixels, which must be room for a sample of each group; beyond that the largest group makes a
  /// smaller shard.
  ShardGroups(int64_t shard_size, int64_t most_bytes);

  /// Returns the shard that has to be written now, if there is one.
  std::optional<Shard> add(const std::string& split, PackedSample&& sample);
  /// One unfinished group after the other, in the order of split and size; nothing at the end.
  std::optional<Shard> take_rest();

 private:
  using Key = std::tuple<std::string, int64_t, int64_t>;  // split, height, width
  struct Group {
    std::vector<PackedSample> samples;
    int64_t bytes = 0;
  };
  Shard take(std::map<Key, Group>::iterator group);

  const int64_t shard_size_, most_bytes_;
  std::map<Key, Group> groups_;
  int64_t bytes_ = 0;
};

}  // namespace limewash::data
