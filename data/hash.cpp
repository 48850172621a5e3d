#include "data/hash.h"

#include <new>

#include <xxhash.h>

namespace limewash::data {

struct Hasher::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  State() {
    if (xxh3 == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(xxh3);
  }
  ~State() {
    XXH3_freeState(xxh3);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;

void Hasher::bytes(const void* data, size_t size) {
  if (size > 0) XXH3_64bits_update(state_->xxh3, data, size);
}

void Hasher::text(std::string_view value) {
  const uint64_t size = value.size();
  bytes(&size, sizeof(size));
  bytes(value.data(), value.size());
}

uint64_t Hasher::digest() const {
  return XXH3_64bits_digest(state_->xxh3);
}

std::string Hasher::hex() const {
  return to_hex(digest());
}

std::string to_hex(uint64_t value) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4)
    text[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace limewash::data
