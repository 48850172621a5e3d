#include "runtime/device_info.h"

#include <filesystem>
#include <fstream>
#include <regex>

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/cuda/nccl.h>
#include <torch/version.h>

namespace limewash {

namespace {

/// "595.58.03" out of "NVRM version: NVIDIA UNIX ... Kernel Module  595.58.03  Release Build".
std::string driver_version() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  if (!std::getline(file, line)) return "";
  std::smatch match;
  return std::regex_search(line, match, std::regex("[0-9]{2,}\\.[0-9.]+")) ? match.str() : line;
}

/// 13000 -> "13.0": how CUDA writes its versions.
std::string cuda_version(long number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string nccl_version() {
  // Three numbers of 32, 16 and 16 bits.
  const uint64_t packed = torch::cuda::nccl::version();
  return std::to_string(packed >> 32) + "." + std::to_string(packed >> 16 & 0xffff) + "." +
         std::to_string(packed & 0xffff);
}

GpuInfo read_gpu(c10::DeviceIndex index) {
  const auto* properties = at::cuda::getDeviceProperties(index);
  GpuInfo gpu;
  gpu.name = properties->name;
  gpu.total_bytes = static_cast<int64_t>(properties->totalGlobalMem);
  gpu.major = properties->major;
  gpu.minor = properties->minor;
  gpu.free_bytes = static_cast<int64_t>(at::accelerator::getMemoryInfo(index).first);
  return gpu;
}

}  // namespace

CpuInfo read_cpu_info() {
  CpuInfo cpu;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && cpu.model.empty();) {
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
      cpu.model = line.substr(line.find(": ") + 2);
    }
  }
  cpu.instructions = at::get_cpu_capability();
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto has = [&](const char* name) {
    const auto found = capabilities.find(name);
    return found != capabilities.end() && found->second.isBool() && found->second.toBool();
  };
  cpu.avx2 = has("avx2");
  cpu.avx512 = has("avx512_f") || has("avx512f");
  cpu.avx512_bf16 = has("avx512_bf16");
  cpu.amx_bf16 = has("amx_bf16");
  return cpu;
}

DeviceInfo read_device_info() {
  DeviceInfo info;
  info.cpu = read_cpu_info();
  info.torch = TORCH_VERSION;
  info.nccl = nccl_version();
  const auto& hooks = at::detail::getCUDAHooks();
  if (hooks.hasCUDART()) info.cuda = cuda_version(hooks.versionCUDART());
  info.gpu_driver = driver_version();
  std::error_code ignored;
  info.gpu_present = !info.gpu_driver.empty() || std::filesystem::exists("/dev/nvidiactl", ignored);
  try {
    const auto count = c10::cuda::device_count_ensure_non_zero();
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    for (c10::DeviceIndex index = 0; index < count; ++index) info.gpus.push_back(read_gpu(index));
  } catch (const c10::Error& error) {
    info.gpu_problem = error.what_without_backtrace();
    info.gpu_problem = info.gpu_problem.substr(0, info.gpu_problem.find('\n'));
  }
  return info;
}

}  // namespace limewash
