#pragma once
// The key-value store through which c10d's backends meet.

#include <string>

#include <ATen/core/Tensor.h>  // c10::intrusive_ptr

namespace c10d {
class Store;
}

namespace limewash {

class Communicator;

/// A store that rank 0 serves on a free port, known to all `ranks`. `root_host` is how they reach
/// rank 0, and only its word counts. Collective; throws InputError on every rank where rank 0
/// cannot serve. Rank 0 is to drop it last.
c10::intrusive_ptr<c10d::Store> make_rank_store(Communicator& ranks, const std::string& root_host);

}  // namespace limewash
