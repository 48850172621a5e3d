#pragma once
// What LibTorch can compute with here.

#include <cstdint>
#include <string>
#include <vector>

namespace limewash {

struct CpuInfo {
  std::string model;         ///< as the processor names itself
  std::string instructions;  ///< that LibTorch's own kernels use: DEFAULT, AVX2, AVX512
  bool avx2 = false, avx512 = false, avx512_bf16 = false, amx_bf16 = false;
};

struct GpuInfo {
  std::string name;
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;
  int major = 0, minor = 0;  ///< compute capability
};

struct DeviceInfo {
  CpuInfo cpu;
  std::vector<GpuInfo> gpus;
  std::string gpu_problem;        ///< why there is none that can be used, as CUDA says it
  bool gpu_present = false;       ///< the kernel knows an NVIDIA device, whether CUDA works or not
  std::string gpu_driver;         ///< its version; empty: not loaded
  std::string torch, cuda, nccl;  ///< versions of the bundled libraries
};

/// The processor alone; CUDA is left alone.
CpuInfo read_cpu_info();

/// Asks LibTorch and the kernel. Starts CUDA where there is a GPU.
DeviceInfo read_device_info();

}  // namespace limewash
