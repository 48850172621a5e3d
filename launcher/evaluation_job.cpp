#include "launcher/evaluation_job.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "data/dataset.h"
#include "models/adapter_files.h"
#include "models/model_folder.h"
#include "models/precision.h"
#include "runtime/error.h"

namespace limewash::launcher {

namespace {

namespace fs = std::filesystem;

constexpr const char* kHoleKey = "limewash.hole";
constexpr std::string_view kStepPrefix = "step-";

/// Without a slash at its end, which would hide its name.
fs::path plain(const fs::path& path) {
  const auto normal = fs::absolute(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

/// The step in a checkpoint's name.
std::optional<int64_t> step_of(const fs::path& adapter) {
  const std::string name = plain(adapter).filename().string();
  int64_t step = 0;
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const auto [end, error] =
      std::from_chars(name.data() + kStepPrefix.size(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

/// What a subject is made of before anything is loaded.
struct PlannedSubject {
  std::string name, method, source;
  models::AdapterPaths files;
  std::optional<int64_t> step;
  bool control = false;
};

PlannedSubject baseline_subject(const std::string& name, eval::Baseline baseline, bool control) {
  return {name, eval::baseline_name(baseline), "", {}, std::nullopt, control};
}

PlannedSubject method_subject(const std::string& method) {
  if (method == "base") return {"base", "base", "", {}, int64_t{0}, false};
  if (method == "recolor") return baseline_subject(method, eval::Baseline::kRecolored, false);
  if (method == "floor") return baseline_subject(method, eval::Baseline::kFloor, false);
  throw ConfigError("evaluate: --method is '" + method + "': expected base, recolor or floor");
}

void require_file(const std::string& flag, const std::string& path) {
  if (!path.empty() && !fs::is_regular_file(path))
    throw InputError("evaluate: " + flag + ": " + path + ": no such file");
}

std::vector<PlannedSubject> plan_subjects(const EvaluationRequest& request) {
  std::vector<PlannedSubject> subjects;
  for (const auto& adapter : request.adapters) {
    subjects.push_back({subject_name(adapter),
                        "adapter",
                        adapter,
                        models::locate_adapter(adapter),
                        step_of(adapter),
                        false});
  }
  require_file("--lora", request.lora);
  require_file("--ip-adapter", request.ip_adapter);
  if (!request.lora.empty() || !request.ip_adapter.empty()) {
    const bool both = !request.lora.empty() && !request.ip_adapter.empty();
    subjects.push_back({subject_name(request.lora.empty() ? request.ip_adapter : request.lora),
                        "adapter",
                        request.lora + (both ? " + " : "") + request.ip_adapter,
                        {request.lora, request.ip_adapter},
                        std::nullopt,
                        false});
  }
  for (const auto& method : request.methods) subjects.push_back(method_subject(method));
  if (subjects.empty()) {
    throw ConfigError(
        "evaluate: nothing to evaluate: expected --adapter, --lora, --ip-adapter or --method");
  }
  const auto has = [&](const char* method) {
    return std::any_of(subjects.begin(), subjects.end(), [&](const PlannedSubject& subject) {
      return subject.method == method;
    });
  };
  for (const auto& [name, baseline] : {std::pair("recolor", eval::Baseline::kRecolored),
                                       std::pair("floor", eval::Baseline::kFloor)}) {
    if (request.controls && !has(eval::baseline_name(baseline)))
      subjects.push_back(baseline_subject(name, baseline, true));
  }
  return subjects;
}

/// Two subjects of one name get numbers: names head columns and folders.
void number_equal_names(std::vector<PlannedSubject>& subjects) {
  std::vector<std::string> taken = {"controls"};  // the folder beside theirs
  for (auto& subject : subjects) {
    const std::string name = subject.name;
    for (int i = 2; std::find(taken.begin(), taken.end(), subject.name) != taken.end(); ++i)
      subject.name = name + "-" + std::to_string(i);
    taken.push_back(subject.name);
  }
}

/// The last size of the reference features that this base makes.
int64_t feature_size(models::BaseModel& base, models::ReferenceFeatures features) {
  return models::encode_dropped_reference(base, features).size(-1);
}

std::unique_ptr<models::Adapter> load(models::BaseModel& base,
                                      const PlannedSubject& subject,
                                      const models::AdapterFiles& files) {
  const auto& ip_adapter = files.options.ip_adapter;
  if (ip_adapter.kind != "none") {
    const auto size = feature_size(base, ip_adapter.reference_features());
    if (files.image_embedding_size != size) {
      throw InputError(subject.source + ": the adapter takes reference features of " +
                       std::to_string(files.image_embedding_size) + ", the image encoder of " +
                       base.name + " makes " + std::to_string(size) +
                       ": expected an adapter of this base");
    }
  }
  return models::load_adapter(base.unet, subject.files, subject.source);
}

/// The holes that the adapters were trained with: a hole of another kind is another input.
void follow_holes(Config& config,
                  const std::vector<PlannedSubject>& subjects,
                  const std::vector<models::AdapterFiles>& files,
                  bool configured) {
  for (size_t i = 0; i < subjects.size(); ++i) {
    const auto hole = files[i].metadata.find(kHoleKey);
    if (hole == files[i].metadata.end() || hole->second == config.reference.hole) continue;
    if (!configured && (hole->second == "shading" || hole->second == "empty")) {
      config.reference.hole = hole->second;
      configured = true;
      continue;
    }
    spdlog::warn("{}: was trained with reference.hole = {}, and is evaluated with {}",
                 subjects[i].source,
                 hole->second,
                 config.reference.hole);
  }
}

/// The schedule that the first adapter was trained with, where the configuration leaves it to the
/// base; another adapter's is warned of.
void follow_schedule(Config& config,
                     models::BaseModel& base,
                     const std::vector<PlannedSubject>& subjects,
                     const std::vector<models::AdapterFiles>& files) {
  struct Setting {
    std::string name;
    std::string models::BaseOptions::*member;
    std::set<std::string> values;
  };
  const std::vector<Setting> settings = {
      {"prediction_type", &models::BaseOptions::prediction_type, {"epsilon", "v_prediction"}},
      {"zero_terminal_snr", &models::BaseOptions::zero_terminal_snr, {"on", "off"}},
      {"timestep_spacing",
       &models::BaseOptions::timestep_spacing,
       {"leading", "trailing", "linspace"}}};
  for (const auto& [name, member, values] : settings) {
    std::string& used = config.base.*member;
    bool settled = used != "model";
    for (size_t i = 0; i < subjects.size(); ++i) {
      if (subjects[i].method != "adapter") continue;
      const auto found = files[i].metadata.find("limewash." + name);
      const bool known = found != files[i].metadata.end() && values.contains(found->second);
      const std::string trained = known ? found->second : "model";
      if (!std::exchange(settled, true)) used = trained;
      if (trained == used) continue;
      spdlog::warn("{}: was trained with base.{} = {}, and is evaluated with {}",
                   subjects[i].source,
                   name,
                   trained,
                   used);
    }
  }
  const auto folder = models::resolve_model_folder(config.base.model);
  base.schedule = models::NoiseSchedule(
      models::schedule_config(config.base, folder / "scheduler/scheduler_config.json"));
}

data::Dataset open_dataset(const std::string& folder, std::string& split) {
  if (folder.empty()) {
    throw ConfigError(
        "evaluate: no dataset: expected --data, or a configuration with data.validation");
  }
  if (split.empty()) split = data::validation_split(folder);
  if (split == "all") split = "";
  data::Dataset dataset(folder, split);
  if (split.empty()) split = "all";
  return dataset;
}

InputError stopped() {
  return InputError("stopped before the evaluation was complete");
}

/// One subject, painted and measured; its adapter is gone again afterwards.
eval::ComparedSubject evaluate_subject(eval::Evaluator& evaluator,
                                       models::BaseModel& base,
                                       const PlannedSubject& planned,
                                       const models::AdapterFiles& files,
                                       const EvaluationRequest& request,
                                       const fs::path& folder) {
  // Not before the subject has been loaded: what is refused leaves nothing behind.
  const auto make_out = [out = request.out / folder] {
    fs::create_directories(out);
    return out;
  };
  eval::ComparedSubject subject{
      planned.name, planned.method, planned.source, planned.control, folder, {}, std::nullopt};
  std::optional<eval::EvaluationResult> result;
  if (planned.method == "adapter") {
    const auto adapter = load(base, planned, files);
    result = evaluator.evaluate(planned.step, adapter.get(), make_out(), planned.name);
    if (result && request.controls) {
      subject.shuffled_reference = evaluator.shuffled_reference(*adapter);
      if (!subject.shuffled_reference) throw stopped();
    }
  } else if (planned.method == "base") {
    result = evaluator.evaluate(planned.step, nullptr, make_out(), "base alone");
  } else {
    const bool recolored = planned.method == eval::baseline_name(eval::Baseline::kRecolored);
    result = evaluator.evaluate(recolored ? eval::Baseline::kRecolored : eval::Baseline::kFloor,
                                make_out());
  }
  if (!result) throw stopped();
  subject.result = *result;
  return subject;
}

}  // namespace

std::filesystem::path config_of_adapters(const std::vector<std::string>& adapters) {
  for (const auto& adapter : adapters) {
    const fs::path path = plain(adapter);
    for (const fs::path& folder : {path, path.parent_path(), path.parent_path().parent_path()}) {
      const bool of_a_run = fs::exists(folder / "DONE") || fs::is_directory(folder / "checkpoints");
      if (of_a_run && fs::exists(folder / "config.yaml")) return folder / "config.yaml";
    }
  }
  return {};
}

std::string subject_name(const std::filesystem::path& adapter) {
  const fs::path path = plain(adapter);
  if (fs::is_regular_file(path)) return path.stem().string();
  const std::string name = path.filename().string(), above = path.parent_path().filename().string();
  if (name == "adapter") return above;
  if (above == "checkpoints") {
    return path.parent_path().parent_path().filename().string() + "-" + name;
  }
  return name;
}

eval::Comparison run_evaluation_job(Config config,
                                    const EvaluationRequest& request,
                                    Communicator& communicator) {
  config.reference.validate();
  config.evaluation.validate();
  auto subjects = plan_subjects(request);
  number_equal_names(subjects);
  std::string split = request.split;
  const auto dataset = open_dataset(config.data.validation, split);

  // What a run started from is no matter here; the files may be gone.
  config.base.lora.clear();
  config.base.ip_adapter.clear();
  auto base = models::load_base_model(config.base, models::compute_type(config.run.precision));
  models::move_to(base, models::compute_device(config.run.device));
  std::vector<models::AdapterFiles> files;
  for (const auto& subject : subjects) {
    files.push_back(
        subject.method == "adapter"
            ? models::inspect_adapter(subject.files, models::lora_module_paths(base.unet))
            : models::AdapterFiles{});
  }
  follow_holes(config, subjects, files, request.hole_is_configured);
  follow_schedule(config, base, subjects, files);
  eval::Evaluator evaluator(base, dataset, config.reference, config.evaluation, communicator);

  eval::Comparison comparison{
      dataset.folder().string(), dataset.fingerprint(), split, base.name, {}};
  const auto asked = std::count_if(
      subjects.begin(), subjects.end(), [](const PlannedSubject& one) { return !one.control; });
  for (size_t i = 0; i < subjects.size(); ++i) {
    const fs::path folder = subjects[i].control ? fs::path("controls") / subjects[i].name
                            : asked == 1        ? fs::path()
                                                : fs::path(subjects[i].name);
    comparison.subjects.push_back(
        evaluate_subject(evaluator, base, subjects[i], files[i], request, folder));
  }
  if (communicator.rank() == 0) eval::write_comparison(request.out, comparison);
  communicator.barrier();
  return comparison;
}

}  // namespace limewash::launcher
