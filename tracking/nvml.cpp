#include "tracking/nvml.h"

#include <dlfcn.h>

namespace limewash::tracking {
namespace {

// The library's C interface, as far as it is used; NVIDIA keeps it stable.
using Device = void*;
constexpr int kSuccess = 0;

struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned int gpu, memory;
};

}  // namespace

struct Nvml::Library {
  void* handle = nullptr;
  int (*initialize)() = nullptr;
  int (*shut_down)() = nullptr;
  int (*device_count)(unsigned int*) = nullptr;
  int (*device_by_index)(unsigned int, Device*) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*utilization)(Device, Utilization*) = nullptr;
  int (*power)(Device, unsigned int*) = nullptr;
  int (*power_limit)(Device, unsigned int*) = nullptr;
  bool initialized = false;

  ~Library() {
    if (initialized) shut_down();
    if (handle != nullptr) dlclose(handle);
  }

  template <class Function>
  bool find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    return function != nullptr;
  }
};

Nvml::Nvml(std::unique_ptr<Library> library) : library_(std::move(library)) {}

Nvml::~Nvml() = default;

std::unique_ptr<Nvml> Nvml::load(const std::string& name) {
  auto library = std::make_unique<Library>();
  library->handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr) return nullptr;
  const bool complete = library->find(library->initialize, "nvmlInit_v2") &&
                        library->find(library->shut_down, "nvmlShutdown") &&
                        library->find(library->device_count, "nvmlDeviceGetCount_v2") &&
                        library->find(library->device_by_index, "nvmlDeviceGetHandleByIndex_v2") &&
                        library->find(library->memory, "nvmlDeviceGetMemoryInfo") &&
                        library->find(library->utilization, "nvmlDeviceGetUtilizationRates") &&
                        library->find(library->power, "nvmlDeviceGetPowerUsage") &&
                        library->find(library->power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  if (!complete || library->initialize() != kSuccess) return nullptr;
  library->initialized = true;
  return std::unique_ptr<Nvml>(new Nvml(std::move(library)));
}

std::vector<GpuSample> Nvml::sample() const {
  std::vector<GpuSample> samples;
  unsigned int count = 0;
  if (library_->device_count(&count) != kSuccess) return samples;
  for (unsigned int i = 0; i < count; ++i) {
    GpuSample& gpu = samples.emplace_back();
    Device device = nullptr;
    if (library_->device_by_index(i, &device) != kSuccess) continue;
    Memory memory{};
    if (library_->memory(device, &memory) == kSuccess) {
      gpu.memory_used_bytes = static_cast<double>(memory.used);
      gpu.memory_total_bytes = static_cast<double>(memory.total);
    }
    Utilization utilization{};
    if (library_->utilization(device, &utilization) == kSuccess) {
      gpu.utilization_percent = utilization.gpu;
    }
    unsigned int milliwatts = 0;
    if (library_->power(device, &milliwatts) == kSuccess) gpu.power_watts = milliwatts / 1000.0;
    if (library_->power_limit(device, &milliwatts) == kSuccess) {
      gpu.power_limit_watts = milliwatts / 1000.0;
    }
  }
  return samples;
}

}  // namespace limewash::tracking
