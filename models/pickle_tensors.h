#pragma once
// The storages and tensors that a pickle describes, checked against each other.

#include <cstdint>
#include <string>
#include <vector>

#include "models/pickle_globals.h"
#include "models/pickle_machine.h"

namespace limewash::models {

/// From the persistent id ("storage", type, key, device, number of elements[, view]), which is the
/// value at `place`; a view must be None. Throws InputError beginning with `where`.
PickledStorage pickled_storage(const Pickle& pickle, uint32_t place, const std::string& where);

/// From the arguments of one of torch's three functions that rebuild a tensor; `role` says which.
/// No element lies beyond the storage, and there are no more elements than it has: a tensor that
/// repeats one a million times would take a million times the file's memory once it is used. Throws
/// InputError beginning with `where`.
PickledTensor pickled_tensor(const Pickle& pickle,
                             PickleRole role,
                             const std::vector<uint32_t>& arguments,
                             const std::string& where);

}  // namespace limewash::models
