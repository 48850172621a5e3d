#include "eval/evaluation_files.h"

#include <nlohmann/json.hpp>

#include "eval/palette.h"
#include "runtime/files.h"

namespace limewash::eval {
namespace {

nlohmann::json counts_json(const MissingCounts& missing) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, count] : missing) json[name] = count;
  return json;
}

/// What shapes a painting; how masks were made wrong only where they were.
nlohmann::json options_json(const EvaluationOptions& options,
                            const std::optional<std::string>& lpips_network) {
  nlohmann::json json = {{"steps", options.steps},
                         {"seed", options.seed},
                         {"guidance", options.guidance},
                         {"paste", options.paste},
                         {"lpips", lpips_network ? nlohmann::json(*lpips_network) : nullptr}};
  if (options.corrupts_masks()) {
    json["mask_corruption"] = options.mask_corruption;
    json["mask_iou"] = options.mask_iou;
  }
  return json;
}

}  // namespace

nlohmann::json EvaluationResult::to_json() const {
  nlohmann::json json = metrics_to_json(metrics);
  json["step"] = step ? nlohmann::json(*step) : nlohmann::json(nullptr);
  json["paintings"] = paintings;
  json["missing"] = counts_json(missing);
  return json;
}

nlohmann::json Controls::to_json() const {
  return {{"shuffled_reference", metrics_to_json(shuffled_reference)},
          {"recolored_without_network", metrics_to_json(recolored_without_network)},
          {"floor", metrics_to_json(floor)}};
}

void write_metrics(const std::filesystem::path& path,
                   const EvaluationResult& result,
                   const EvaluationOptions& options,
                   const std::optional<std::string>& lpips_network,
                   const std::string& method,
                   const data::Dataset& dataset,
                   const std::vector<PlannedPainting>& paintings,
                   const std::vector<Metrics>& records) {
  nlohmann::json lines = nlohmann::json::array();
  for (size_t i = 0; i < paintings.size(); ++i) {
    nlohmann::json record = metrics_to_json(records[i]);
    record["photo"] = dataset.info(paintings[i].photo).id;
    record["asked"] = color_text(paintings[i].asked);
    record["own_color"] = paintings[i].own;
    lines.push_back(std::move(record));
  }
  const nlohmann::json json = {
      {"protocol", kProtocolVersion},
      {"step", result.step ? nlohmann::json(*result.step) : nlohmann::json(nullptr)},
      {"method", method},
      {"adapter", method == "adapter"},
      {"dataset", dataset.fingerprint()},
      {"options", options_json(options, lpips_network)},
      {"paintings", result.paintings},
      {"metrics", metrics_to_json(result.metrics)},
      {"missing", counts_json(result.missing)},
      {"records", std::move(lines)}};
  write_file_atomically(path, json.dump(1) + "\n");
}

}  // namespace limewash::eval
