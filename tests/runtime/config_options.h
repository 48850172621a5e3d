#pragma once
// Options as components declare them, for the tests of the configuration.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "runtime/config.h"
#include "runtime/error.h"

namespace limewash {

struct PrepareOptions {
  std::string images = "photos";
  int64_t size = 512;
  void describe(config::Fields& fields) {
    fields.field("images", images, "folder of photos");
    fields.field("size", size, "pixels of a side", {64, 2048});
  }
};

struct TrainingOptions {
  int64_t steps = 1000;
  int64_t stop_at = 0;
  bool gradient_checkpointing = false;
  double learning_rate = 1e-4;
  double clip = std::numeric_limits<double>::infinity();
  std::string stage = "joint";
  std::vector<std::string> targets = {"to_q", "to_v"};
  std::vector<double> weights = {1, 0.5};
  struct Drop {
    double text = 0.05;
    void describe(config::Fields& fields) {
      fields.field("text", text, "probability", {0, 1});
    }
  } drop;
  void describe(config::Fields& fields) {
    fields.field("steps", steps, "optimizer steps", {1});
    fields.field("stop_at", stop_at, "end the attempt early");
    fields.field("gradient_checkpointing", gradient_checkpointing, "trade time for memory");
    fields.field("learning_rate", learning_rate, "peak", {0, 1});
    fields.field("clip", clip, "norm", {0, std::numeric_limits<double>::infinity()});
    fields.choice("stage", stage, {"lora", "ip_adapter", "joint"}, "what is trained");
    fields.field("targets", targets, "patterns");
    fields.field("weights", weights, "of the terms", {0, 100});
    fields.section("drop", drop);
  }
};

struct Options {
  PrepareOptions prepare;
  TrainingOptions training;
  void describe(config::Fields& fields) {
    fields.section("prepare", prepare);
    fields.section("training", training);
  }
  void validate() const {
    if (training.stop_at > training.steps) {
      throw ConfigError("training.stop_at: expected at most training.steps");
    }
  }
};

/// Read `text` as configs/demo.yaml.
inline Options read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Options options;
  config::Document::parse(text, "configs/demo.yaml", overrides).read_into(options);
  return options;
}

/// The message of the ConfigError that reading `text` gives; "no error" when there is none.
inline std::string error_of(const std::string& text,
                            const std::vector<std::string>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace limewash
