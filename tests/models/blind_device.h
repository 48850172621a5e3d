#pragma once
// A device for tests on machines without a GPU. It computes on the CPU, in memory that the host
// could read; but as with a GPU nothing else can: a tensor of the host among its tensors is an
// error, and whatever would have a GPU wait for the host, or the host for it, is counted.

#include <cstdint>
#include <functional>

#include <c10/core/Device.h>

namespace limewash {

at::Device blind_device();

/// Times that a number was read from the device, or that a tensor went there or came back.
int64_t waits_for_blind_device();

/// Do the work as if a CUDA graph recorded it: what would wait, or read a scalar of the host, is an
/// error meanwhile.
void while_recorded(const std::function<void()>& work);

}  // namespace limewash
