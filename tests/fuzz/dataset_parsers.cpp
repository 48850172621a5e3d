#include "tests/fuzz/dataset_parsers.h"

#include "data/dataset_index.h"
#include "data/shard.h"
#include "runtime/error.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::fuzz {
namespace {

using std::filesystem::path;

std::vector<data::ShardSample> small_samples() {
  return {data::plain_sample(8, 0), data::plain_sample(8, 1)};
}

/// Every sample is read; a bad checksum refuses the shard as a damaged structure does.
Parser shard(const path& work, const char* name, bool gzip) {
  const path file = work / name;
  data::write_shard(file, "{}", small_samples(), gzip);
  Parser parser{name, {data::read_bytes(file)}, {}, {}};
  parser.words = {"OHDR",
                  "FRHP",
                  "FHDB",
                  "BTHD",
                  "TREE",
                  "SNOD",
                  "HEAP",
                  "\x89HDF\r\n\x1a\n",
                  "image",
                  "checksum",
                  "train",
                  std::string(8, '\xff'),
                  std::string(8, '\0')};
  parser.parse = [file](const std::string& bytes) {
    data::write_bytes(file, bytes);
    const data::ShardReader reader(file);
    for (int64_t i = 0; i < reader.summary().samples; ++i) reader.read(i);
  };
  return parser;
}

Parser dataset_index(const path& work) {
  const path folder = work / "dataset-index";
  data::make_dataset(folder, small_samples(), 1);
  data::DatasetIndex index = *data::read_index(folder);
  index.inputs = {{3, "0123456789abcdef"}};
  index.rejections = {{"a.jpg", "empty mask", "the mask is empty", 7, 9}};
  index.photos = index.photos_done = 3;
  data::write_index(folder, index);
  Parser parser{"dataset-index", {data::read_bytes(folder / "index.json")}, {}, {}};
  parser.words = {"\"complete\": false",
                  "shard-00001.h5",
                  "../",
                  "null",
                  "-1",
                  "1e400",
                  "99999999999999999999",
                  "[[[[",
                  "{}",
                  "\xff",
                  "test"};
  parser.parse = [folder](const std::string& bytes) {
    data::write_bytes(folder / "index.json", bytes);
    const data::Dataset dataset(folder);
    dataset.read(dataset.size() - 1);
  };
  return parser;
}

}  // namespace

std::vector<Parser> dataset_parsers(const path& work) {
  return {shard(work, "shard", false), shard(work, "shard-gzip", true), dataset_index(work)};
}

}  // namespace limewash::fuzz
