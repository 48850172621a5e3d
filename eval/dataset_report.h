#pragma once
// The HTML report of a prepared dataset: what `limewash inspect --out` writes. One file, no script,
// no server, of a bounded size whatever the dataset's.

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset_index.h"
#include "data/dataset_summary.h"

namespace limewash::eval {

/// Histograms of wall share, quality and each of its parts; the rejected photos by reason; what
/// verification found, if any; and a contact sheet of the lowest and highest quality. Every text of
/// the dataset is escaped.
std::string dataset_report_html(const std::filesystem::path& folder,
                                const data::DatasetIndex& index,
                                const data::DatasetSummary& summary,
                                const std::vector<std::string>& problems);

}  // namespace limewash::eval
