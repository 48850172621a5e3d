#include "runtime/rank_gpu.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <sstream>
#include <unistd.h>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/util/Exception.h>

#include "runtime/host_info.h"

namespace limewash {

namespace {

std::string identity_of(c10::DeviceIndex index) {
  std::string identity;
  for (const char byte : at::cuda::getDeviceProperties(index)->uuid.bytes) {
    std::array<char, 3> text{};
    std::snprintf(text.data(), text.size(), "%02x", static_cast<unsigned char>(byte));
    identity += text.data();
  }
  return identity;
}

}  // namespace

RankDevice rank_device(const std::string& choice) {
  const bool gpu = choice == "cuda" || (choice == "auto" && c10::cuda::device_count() > 0);
  return gpu ? RankDevice::kGpu : RankDevice::kCpu;
}

int64_t gpu_of_local_rank(int local_rank, int64_t visible) {
  return visible > 0 ? local_rank % visible : 0;
}

RankGpu read_rank_gpu(int local_rank) {
  RankGpu gpu;
  gpu.host = host_name();
  try {
    gpu.visible = c10::cuda::device_count_ensure_non_zero();
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    gpu.index = gpu_of_local_rank(local_rank, gpu.visible);
    gpu.identity = identity_of(static_cast<c10::DeviceIndex>(gpu.index));
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    gpu.problem = text.substr(0, text.find('\n'));
  }
  return gpu;
}

std::string gpu_problem(std::span<const RankGpu> ranks) {
  std::map<std::string, size_t> owners;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const RankGpu& gpu = ranks[rank];
    const std::string name = "rank " + std::to_string(rank);
    if (gpu.identity.empty()) {
      return name + " on " + gpu.host + " has no GPU to compute on: " +
             (gpu.problem.empty() ? "CUDA shows none" : gpu.problem) +
             " (check nvidia-smi, the driver's version, and CUDA_VISIBLE_DEVICES)";
    }
    const auto [owner, is_new] = owners.emplace(gpu.identity, rank);
    if (is_new) continue;
    const auto on_host = std::count_if(
        ranks.begin(), ranks.end(), [&](const RankGpu& other) { return other.host == gpu.host; });
    return "ranks " + std::to_string(owner->second) + " and " + std::to_string(rank) + " on " +
           gpu.host + " would share one GPU: expected a GPU for every rank, got " +
           std::to_string(on_host) + " ranks there, with " + std::to_string(gpu.visible) +
           (gpu.visible == 1 ? " GPU" : " GPUs") + " shown to rank " + std::to_string(rank) +
           " (start fewer ranks: launch.trainers; or show more GPUs: CUDA_VISIBLE_DEVICES)";
  }
  return "";
}

std::string encode(const RankGpu& gpu) {
  // The problem is one line, the other fields have no white space.
  return gpu.host + '\n' + std::to_string(gpu.visible) + '\n' + std::to_string(gpu.index) + '\n' +
         gpu.identity + '\n' + gpu.problem + '\n';
}

RankGpu decode_rank_gpu(const std::string& bytes) {
  std::istringstream lines(bytes);
  RankGpu gpu;
  std::string visible, index;
  std::getline(lines, gpu.host);
  std::getline(lines, visible);
  std::getline(lines, index);
  std::getline(lines, gpu.identity);
  std::getline(lines, gpu.problem);
  gpu.visible = std::stoll(visible);
  gpu.index = std::stoll(index);
  return gpu;
}

}  // namespace limewash
