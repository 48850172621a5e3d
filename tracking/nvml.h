#pragma once
// NVIDIA's management library, loaded when it is there: nothing links to it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace limewash::tracking {

/// What one GPU tells of itself; what it does not tell is absent.
struct GpuSample {
  std::optional<double> memory_used_bytes, memory_total_bytes;
  std::optional<double> utilization_percent;
  std::optional<double> power_watts, power_limit_watts;
};

class Nvml {
 public:
  /// Null where the library or a GPU is missing, which is no error.
  static std::unique_ptr<Nvml> load(const std::string& library = "libnvidia-ml.so.1");
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// All GPUs of the machine, in the driver's order.
  std::vector<GpuSample> sample() const;

 private:
  struct Library;
  explicit Nvml(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

}  // namespace limewash::tracking
