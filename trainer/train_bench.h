#pragma once
// How fast this machine trains, measured on random weights and random samples: `limewash bench
// train`.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace limewash::trainer {

struct TrainBenchOptions {
  /// A base model's folder, whose UNet is trained; empty: random weights at the size of Stable
  /// Diffusion 1.5 inpainting.
  std::string model;
  int64_t size = 512;  ///< pixels of a side
  int64_t batch = 1;   ///< samples a step, in one forward pass
  std::string precision = "bf16";
  int64_t rank = 16;            ///< of the LoRA; its alpha is twice that
  int64_t steps = 6;            ///< timed in each round; the first two warm up where there are more
  int64_t threads = 0;          ///< 0: the cores of this machine
  std::string device = "auto";  ///< auto | cpu | cuda
  int64_t rounds = 1;           ///< the best one counts
  bool gradient_checkpointing = false;
  bool cuda_graph = true;  ///< on a GPU: launch forward and backward as one
  /// Another program for the same step, run after each round: its words here are followed by --size
  /// --batch --precision --rank --steps --threads with their values, on a GPU also --device cuda,
  /// and the last line that it prints is JSON with `samples_per_second` and `peak_rss_gib` (on a
  /// GPU `peak_vram_gib`).
  std::vector<std::string> peer;
  /// Throws ConfigError.
  void validate() const;
  /// `peer`'s arguments, as above but for the device, for a program that is started for this step.
  std::vector<std::string> arguments() const;
};

/// Of one measurement at least.
double median(const std::vector<double>& measurements);

/// Seconds of one step, by what they were spent on.
struct StepSeconds {
  double data = 0, forward = 0, backward = 0, communication = 0, optimizer = 0;
  double forward_backward = 0;  ///< in place of the two where they are launched as one
  double total() const;
};

struct TrainBenchReport {
  double seconds_per_step = 0;  ///< median of the best round
  double first_step_seconds = 0;
  StepSeconds split;  ///< medians
  double tflops = 0;  ///< models::training_step_flops by seconds_per_step, in 10^12 a second
  int64_t trainable_parameters = 0;
  int64_t threads = 0;
  std::string device;
  double peak_rss_gib = 0;
  std::optional<double> peak_vram_gib;  ///< of tensors on the GPU
  double loss = 0;                      ///< of the last step
  std::optional<double> peer_samples_per_second, peer_peak_rss_gib, peer_peak_vram_gib;
  bool stopped = false;  ///< by a signal
};

/// Train a LoRA and an IP-Adapter Plus jointly on random samples: the trainer's own modules,
/// objective and optimizer. Throws InputError.
TrainBenchReport bench_training(const TrainBenchOptions& options);

}  // namespace limewash::trainer
