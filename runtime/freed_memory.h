#pragma once

namespace limewash {

/// Let the allocator keep what is freed for the next tensor of this process. Otherwise each large
/// tensor is fresh memory from the kernel, which it fills with zeros page by page: half of the time
/// of an attention over 4096 tokens. For processes that compute the same shapes again and again;
/// call it before the first large allocation. Does nothing but on glibc.
void keep_freed_memory();

}  // namespace limewash
