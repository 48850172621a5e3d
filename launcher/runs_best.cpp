// runs best.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "eval/figures.h"
#include "launcher/runs_commands.h"
#include "runtime/error.h"
#include "runtime/nearest_word.h"
#include "trainer/run_folder.h"

namespace limewash::launcher {
namespace {

using nlohmann::json;

struct BestFlags {
  std::string parent = "runs", metric;
  bool json = false;
};

struct Candidate {
  const trainer::RunFolder* run = nullptr;
  int64_t step = 0;
  double value = 0;
};

/// The best evaluation by `metric`. The base alone (step 0) trained nothing, and what a test split
/// says must not select anything.
std::optional<Candidate> best_by(const std::vector<trainer::RunFolder>& runs,
                                 const std::string& metric) {
  const auto end = eval::better_end(metric);
  std::optional<Candidate> best;
  const auto consider =
      [&](const trainer::RunFolder& run, int64_t step, std::optional<double> value) {
        if (!value) return;
        const bool better =
            !best || (end == eval::Better::kHigher ? *value > best->value : *value < best->value);
        if (better) best = Candidate{&run, step, *value};
      };
  for (const trainer::RunFolder& run : runs) {
    if (metric == "loss" || metric == "samples_per_second") {
      const auto steps = eval::figure_of(run.summary, "steps").value_or(0);
      consider(run,
               static_cast<int64_t>(steps),
               eval::figure_of(run.summary, metric == "loss" ? "final_loss" : metric));
      continue;
    }
    for (const json& evaluation : eval::member_of(run.summary, "evaluations")) {
      const json& split = eval::member_of(evaluation, "split");
      if (eval::step_of(evaluation) == 0 || split == json("test")) continue;
      consider(run, eval::step_of(evaluation), eval::figure_of(evaluation, metric));
    }
  }
  return best;
}

std::string known_metric(const std::string& metric) {
  if (eval::better_end(metric)) return metric;
  const auto names = eval::known_figures();
  const auto near = nearest_word(metric, names);
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  throw ConfigError("--by '" + metric + "': no figure whose better end is known" +
                    (near ? " (did you mean " + *near + "?)" : "") + "; there are: " + list);
}

int print_best(const BestFlags& flags) {
  if (!flags.metric.empty()) known_metric(flags.metric);
  const auto runs = trainer::find_runs(flags.parent);
  for (const auto& run : runs) {
    if (!run.problem.empty()) spdlog::warn("{}; the run is passed over", run.problem);
  }
  std::string metric = flags.metric.empty() ? "delta_e_2000_exact" : flags.metric;
  auto best = best_by(runs, metric);
  if (!best && flags.metric.empty()) {
    metric = "delta_e_2000";
    best = best_by(runs, metric);
  }
  if (!best) {
    throw InputError(flags.parent + ": none of its " + std::to_string(runs.size()) +
                     " runs has an evaluation with " + metric);
  }
  const bool low = eval::better_end(metric) == eval::Better::kLower;
  const auto checkpoint = trainer::finished_checkpoint(best->run->folder, best->step);
  if (flags.json) {
    const json result = {{"metric", metric},
                         {"better", low ? "low" : "high"},
                         {"value", best->value},
                         {"run", best->run->folder.string()},
                         {"step", best->step},
                         {"checkpoint", checkpoint ? json(checkpoint->string()) : json(nullptr)},
                         {"runs", runs.size()}};
    std::printf("%s\n", result.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return kExitDone;
  }
  std::printf(
      "%s (%s is better): %s, of %zu runs\nrun         %s\nstep        %lld\ncheckpoint  %s\n",
      metric.c_str(),
      low ? "lower" : "higher",
      eval::figure_text(metric, best->value).c_str(),
      runs.size(),
      best->run->folder.string().c_str(),
      static_cast<long long>(best->step),
      checkpoint ? checkpoint->string().c_str()
                 : "none of this step is kept (checkpoint.keep_last, checkpoint.every)");
  return kExitDone;
}

}  // namespace

void add_runs_best(CLI::App& runs, Action& action) {
  auto flags = std::make_shared<BestFlags>();
  auto* best = runs.add_subcommand("best", "The best evaluation of all runs below a folder");
  best->add_option("folder", flags->parent, "Where to look")
      ->type_name("FOLDER")
      ->capture_default_str();
  best->add_option(
          "--by",
          flags->metric,
          "The figure to judge by, such as shading_fidelity; default: delta_e_2000_exact, or "
          "delta_e_2000 where no run has it")
      ->type_name("METRIC");
  best->add_flag("--json", flags->json, "Print the result as one line of JSON");
  best->footer("Example: limewash runs best runs --by delta_e_2000");
  best->callback([flags, &action] { action = [flags] { return print_best(*flags); }; });
}

}  // namespace limewash::launcher
