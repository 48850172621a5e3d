/* What NVIDIA's management library answers on a machine with two GPUs, of which the second does not
   tell its utilisation and power. */

struct memory {
  unsigned long long total, free, used;
};
struct utilization {
  unsigned int gpu, memory;
};

static int devices[2];
enum { success = 0, not_supported = 3 };

int nvmlInit_v2(void) {
  return success;
}
int nvmlShutdown(void) {
  return success;
}
int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = 2;
  return success;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void** device) {
  *device = &devices[index];
  return success;
}
int nvmlDeviceGetMemoryInfo(void* device, struct memory* memory) {
  memory->total = 80000000000ull;
  memory->used = device == &devices[0] ? 20000000000ull : 0;
  memory->free = memory->total - memory->used;
  return success;
}
int nvmlDeviceGetUtilizationRates(void* device, struct utilization* utilization) {
  if (device != &devices[0]) return not_supported;
  utilization->gpu = 87;
  utilization->memory = 12;
  return success;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned int* milliwatts) {
  if (device != &devices[0]) return not_supported;
  *milliwatts = 350000;
  return success;
}
int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned int* milliwatts) {
  (void)device;
  *milliwatts = 700000;
  return success;
}
