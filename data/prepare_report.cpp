#include "data/prepare_report.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "data/dataset_summary.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

using nlohmann::ordered_json;

ordered_json report_json(const DatasetIndex& index, const DatasetSummary& summary) {
  ordered_json rejections = ordered_json::array();
  for (const Rejection& one : index.rejections)
    rejections.push_back({{"photo", one.photo}, {"reason", one.reason}, {"detail", one.detail}});
  ordered_json report{{"complete", index.complete},
                      {"photos", index.photos},
                      {"photos_done", index.photos_done},
                      {"kept", index.samples()},
                      {"rejected", count_reasons(index.rejections)}};
  report.update(summary.to_json());
  report["rejections"] = std::move(rejections);
  return report;
}

/// For other programs to move or delete the files. A name can't be allowed to make two lines.
std::string rejected_list(const DatasetIndex& index) {
  std::string list;
  for (const Rejection& one : index.rejections) {
    std::string path = one.photo;
    std::replace(path.begin(), path.end(), '\n', '?');
    list += path + "\n";
  }
  return list;
}

}  // namespace

std::map<std::string, int64_t> count_reasons(const std::vector<Rejection>& rejections) {
  std::map<std::string, int64_t> counts;
  for (const Rejection& rejection : rejections) ++counts[rejection.reason];
  return counts;
}

void write_prepare_report(const std::filesystem::path& out, const DatasetIndex& index) {
  const ordered_json report = report_json(index, summarize(out, index));
  write_file_atomically(out / "report.json",
                        report.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  write_file_atomically(out / "rejected.txt", rejected_list(index));
}

}  // namespace limewash::data
