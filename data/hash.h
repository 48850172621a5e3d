#pragma once
// Checksums and fingerprints: XXH3, 64 bits.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace limewash::data {

/// Gathers bytes into one XXH3 value.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void bytes(const void* data, size_t size);
  /// The raw bytes of a range of numbers.
  template <class T>
  void values(std::span<const T> range) {
    bytes(range.data(), range.size_bytes());
  }
  /// A text with its length, so that neighbouring texts can't be confused.
  void text(std::string_view value);
  uint64_t digest() const;
  /// The digest as 16 hexadecimal digits.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `value` as 16 hexadecimal digits.
std::string to_hex(uint64_t value);

}  // namespace limewash::data
