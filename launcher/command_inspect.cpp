// inspect: what is in a dataset.

#include <algorithm>
#include <cstdio>
#include <map>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "data/dataset_index.h"
#include "data/dataset_summary.h"
#include "data/prepare_report.h"
#include "data/verify_dataset.h"
#include "eval/dataset_report.h"
#include "launcher/commands.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {
namespace {

struct InspectFlags {
  std::string folder, out;
  bool verify = false, json = false;
};

/// Rejections by falling number.
std::vector<std::pair<std::string, int64_t>> sorted_reasons(const data::DatasetIndex& index) {
  const auto counts = data::count_reasons(index.rejections);
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second > b.second;
  });
  return sorted;
}

std::string text_of(const InspectFlags& flags,
                    const data::DatasetIndex& index,
                    const data::DatasetSummary& summary) {
  int64_t bytes = 0;
  for (const data::ShardEntry& entry : index.shards) bytes += entry.summary.bytes;
  char line[256];
  std::snprintf(line,
                sizeof(line),
                "%lld samples of %lld photos in %zu shards, %.1f MiB, fingerprint %s%s\n",
                static_cast<long long>(summary.samples()),
                static_cast<long long>(index.photos),
                index.shards.size(),
                static_cast<double>(bytes) / (1 << 20),
                index.fingerprint().c_str(),
                index.complete ? "" : "; unfinished");
  std::string text = flags.folder + ": " + line + summary.to_text();
  for (const auto& [reason, count] : sorted_reasons(index)) {
    const auto first =
        std::find_if(index.rejections.begin(), index.rejections.end(), [&](const auto& rejection) {
          return rejection.reason == reason;
        });
    std::snprintf(line, sizeof(line), "  rejected %9lld  ", static_cast<long long>(count));
    text += line + reason + ", first " + first->photo + "\n";
  }
  return text;
}

nlohmann::ordered_json json_of(const InspectFlags& flags,
                               const data::DatasetIndex& index,
                               const data::DatasetSummary& summary,
                               const data::Verification& verification) {
  nlohmann::ordered_json json{{"complete", index.complete},
                              {"fingerprint", index.fingerprint()},
                              {"photos", index.photos},
                              {"samples", summary.samples()},
                              {"shards", index.shards.size()},
                              {"rejected", data::count_reasons(index.rejections)}};
  json.update(summary.to_json());
  if (flags.verify) {
    json["verified"] = verification.samples;
    json["problems"] = verification.problems;
  }
  return json;
}

/// The shards that can be opened: the others are named by the verification.
data::DatasetIndex readable_part(const std::string& folder, data::DatasetIndex index) {
  std::erase_if(index.shards, [&](const data::ShardEntry& entry) {
    try {
      data::open_shard(folder, entry);
      return false;
    } catch (const InputError&) {
      return true;
    }
  });
  return index;
}

int inspect(const InspectFlags& flags) {
  auto index = data::read_index(flags.folder);
  if (!index) throw InputError(flags.folder + ": is no dataset: it has no index.json");
  install_stop_signals();
  data::Verification verification;
  if (flags.verify) {
    const auto threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    verification = data::verify_dataset(flags.folder, *index, threads);
    if (verification.stopped) throw InputError("stopped before everything was read");
    if (!verification.problems.empty()) index = readable_part(flags.folder, *index);
  }
  const data::DatasetSummary summary = data::summarize(flags.folder, *index);
  if (!flags.out.empty())
    write_file_atomically(
        flags.out, eval::dataset_report_html(flags.folder, *index, summary, verification.problems));
  if (flags.json) {
    const auto json = json_of(flags, *index, summary, verification);
    std::printf("%s\n",
                json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    std::string text = text_of(flags, *index, summary);
    for (const std::string& problem : verification.problems) text += "damaged: " + problem + "\n";
    if (flags.verify)
      text += "  verified " + std::to_string(verification.samples) + " samples, " +
              std::to_string(verification.problems.size()) + " problems\n";
    if (!flags.out.empty()) text += "  report: " + flags.out + "\n";
    std::printf("%s", text.c_str());
  }
  return verification.problems.empty() ? kExitDone : kExitFailed;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "inspect", "Show what is in a dataset, what was rejected and why; find damage");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("folder", flags->folder, "The dataset")->required()->type_name("DATASET");
  command->add_option("--out", flags->out, "HTML report to write")->type_name("FILE");
  command->add_flag("--verify", flags->verify, "Read every sample; exit 1 when one is damaged");
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer("Example: limewash inspect dataset --out dataset.html");
  command->callback([flags, &action] { action = [flags] { return inspect(*flags); }; });
}

}  // namespace limewash::launcher
