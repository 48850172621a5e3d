#pragma once
// OUT/report.json and OUT/rejected.txt of a finished dataset.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/dataset_index.h"

namespace limewash::data {

/// reason -> photos.
std::map<std::string, int64_t> count_reasons(const std::vector<Rejection>& rejections);

/// report.json: counts, samples by side and size, quantiles of wall share and quality, and every
/// rejection. rejected.txt: the rejected photos' paths, one a line, in order.
void write_prepare_report(const std::filesystem::path& out, const DatasetIndex& index);

}  // namespace limewash::data
