#pragma once
// Small datasets for the tests of shards, datasets, prepare and the latent cache.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "data/prepare.h"
#include "data/shard.h"
#include "runtime/error.h"

namespace limewash::data {

/// A folder that is there as long as the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// `prefix`, the number, `suffix`.
std::string numbered(const std::string& prefix, int64_t number, const std::string& suffix = ".png");

std::string read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::string& bytes);

/// The names and bytes of all files of a folder that are part of a dataset.
std::vector<std::pair<std::string, std::string>> dataset_bytes(const std::filesystem::path& folder);

/// A photo whose pixels follow from `number`: shaded, in a colour of its own.
Image plain_photo(int64_t height, int64_t width, int number);

/// A wall that fills columns [left, right) of all rows.
Mask striped_mask(int64_t height, int64_t width, int64_t left, int64_t right);

/// A complete sample of `size` x `size` pixels.
ShardSample plain_sample(int64_t size, int number);

/// A finished dataset of plain samples.
void make_dataset(const std::filesystem::path& folder,
                  const std::vector<ShardSample>& samples,
                  size_t shard_size);

/// The message of the InputError that `call` throws; fails the test when it throws none.
template <class Call>
std::string input_error(const Call& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no InputError was thrown";
}

}  // namespace limewash::data
