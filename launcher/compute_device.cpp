#include "launcher/compute_device.h"

#include "runtime/rank_gpu.h"

namespace limewash::launcher {

at::Device compute_device(const Config& config) {
  return rank_device(config.run.device) == RankDevice::kGpu ? at::Device(at::kCUDA)
                                                            : at::Device(at::kCPU);
}

}  // namespace limewash::launcher
