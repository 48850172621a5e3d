#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace limewash::fuzz {

namespace {

constexpr size_t kLongestInput = size_t{1} << 18;

size_t below(std::mt19937_64& random, size_t bound) {
  return bound == 0 ? 0 : static_cast<size_t>(random() % bound);
}

/// A short range of the text.
std::pair<size_t, size_t> range(const std::string& bytes, std::mt19937_64& random) {
  const size_t begin = below(random, bytes.size());
  const size_t longest = below(random, 4) == 0 ? bytes.size() : size_t{32};
  return {begin, std::min(bytes.size() - begin, 1 + below(random, longest))};
}

const std::vector<std::string>& odd_numbers() {
  static const std::vector<std::string> numbers = {"0",
                                                   "-1",
                                                   "1",
                                                   "255",
                                                   "65536",
                                                   "2147483647",
                                                   "2147483648",
                                                   "4294967296",
                                                   "9223372036854775807",
                                                   "9223372036854775808",
                                                   "18446744073709551615",
                                                   "18446744073709551616",
                                                   "1e308",
                                                   "1e999",
                                                   "-0.0",
                                                   "0.5",
                                                   "1048576",
                                                   "1048577"};
  return numbers;
}

void replace_number(std::string& bytes, std::mt19937_64& random) {
  const size_t start = below(random, bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t at = (start + i) % bytes.size();
    if (!std::isdigit(static_cast<unsigned char>(bytes[at]))) continue;
    size_t end = at;
    while (end < bytes.size() && std::isdigit(static_cast<unsigned char>(bytes[end]))) ++end;
    bytes.replace(at, end - at, odd_numbers()[below(random, odd_numbers().size())]);
    return;
  }
}

/// Little-endian integers of 1 to 8 bytes, as lengths and offsets stand in binary files.
void replace_integer(std::string& bytes, std::mt19937_64& random) {
  const size_t width = size_t{1} << below(random, 4);
  if (bytes.size() < width) return;
  const size_t at = below(random, bytes.size() - width + 1);
  static constexpr uint64_t kOdd[] = {0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      ~uint64_t{0},
                                      ~uint64_t{0} >> 1};
  uint64_t value = kOdd[below(random, std::size(kOdd))] + below(random, 3) - 1;
  for (size_t i = 0; i < width; ++i, value >>= 8) bytes[at + i] = static_cast<char>(value & 0xff);
}

}  // namespace

Mutator::Mutator(std::vector<std::string> corpus, std::vector<std::string> words)
    : corpus_(std::move(corpus)), words_(std::move(words)) {}

void Mutator::damage(std::string& bytes, std::mt19937_64& random) const {
  if (bytes.empty()) {
    bytes += static_cast<char>(below(random, 256));
    return;
  }
  const auto [begin, length] = range(bytes, random);
  switch (below(random, 11)) {
    case 0:
      bytes[begin] = static_cast<char>(bytes[begin] ^ (1 << below(random, 8)));
      break;
    case 1:
      bytes[begin] = static_cast<char>(below(random, 256));
      break;
    case 2:
      bytes.erase(begin, length);
      break;
    case 3:
      bytes.insert(below(random, bytes.size()), bytes.substr(begin, length));
      break;
    case 4:
      bytes.resize(begin);
      break;
    case 5:
      replace_number(bytes, random);
      break;
    case 6:
      replace_integer(bytes, random);
      break;
    case 7: {
      const std::string& other = corpus_[below(random, corpus_.size())];
      if (other.empty()) break;
      const auto [from, count] = range(other, random);
      bytes.replace(begin, length, other.substr(from, count));
      break;
    }
    case 8:
      if (!words_.empty()) bytes.insert(begin, words_[below(random, words_.size())]);
      break;
    case 9:
      if (!words_.empty()) bytes.replace(begin, length, words_[below(random, words_.size())]);
      break;
    default: {
      // The same piece very often: nesting, long names, long lists.
      const std::string piece = bytes.substr(begin, std::min<size_t>(length, 8));
      std::string many;
      for (size_t i = below(random, 2000); i > 0; --i) many += piece;
      bytes.insert(begin, many);
      break;
    }
  }
  if (bytes.size() > kLongestInput) bytes.resize(kLongestInput);
}

std::string Mutator::make(uint64_t seed, uint64_t number) const {
  std::seed_seq keys{static_cast<uint32_t>(seed),
                     static_cast<uint32_t>(seed >> 32),
                     static_cast<uint32_t>(number),
                     static_cast<uint32_t>(number >> 32)};
  std::mt19937_64 random(keys);
  std::string bytes = corpus_[below(random, corpus_.size())];
  // Every hundredth input is good: what is refused then is a fault of the parser.
  if (number % 100 == 0) return bytes;
  for (size_t i = 1 + below(random, 4); i > 0; --i) damage(bytes, random);
  return bytes;
}

}  // namespace limewash::fuzz
