#include "models/byte_pair_encoding.h"

#include <cstdio>
#include <functional>
#include <queue>

#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr int32_t kNone = -1;

/// Whether GPT-2's alphabet spells the byte as the Latin-1 character of that number.
bool is_its_own_symbol(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

int32_t find_id(const Vocabulary& vocabulary, const std::string& token, int32_t fallback) {
  const auto found = vocabulary.find(token);
  return found == vocabulary.end() ? fallback : found->second;
}

/// A token of a word in the making; tokens that were merged into their left neighbour are gone.
struct Symbol {
  int32_t id, previous, next;
  bool gone = false;
};

/// A merge that may be due. The lowest rank is first, then the leftmost place.
struct Candidate {
  int32_t rank, place, merged;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : place > other.place;
  }
};

}  // namespace

std::string byte_symbol(uint8_t byte) {
  int character = byte;
  if (!is_its_own_symbol(byte)) {
    // The others are numbered from 256 in their order.
    character = 256;
    for (int earlier = 0; earlier < byte; ++earlier) character += !is_its_own_symbol(earlier);
  }
  if (character < 0x80) return std::string(1, static_cast<char>(character));
  return {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
}

BytePairEncoding::BytePairEncoding(const Vocabulary& vocabulary,
                                   const std::vector<Merge>& merges,
                                   int32_t unknown) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string symbol = byte_symbol(static_cast<uint8_t>(byte));
    inner_[byte] = find_id(vocabulary, symbol, unknown);
    last_[byte] = find_id(vocabulary, symbol + "</w>", unknown);
  }
  merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const Merge& merge : merges) {
    merges_[pair_key(merge.left, merge.right)] = {rank++, merge.merged};
  }
}

const BytePairEncoding::Ranked* BytePairEncoding::find_merge(int32_t left, int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairEncoding::append_word(std::string_view word, std::vector<int64_t>& ids) const {
  const auto size = static_cast<int32_t>(word.size());
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (int32_t place = 0; place < size; ++place) {
    const auto byte = static_cast<uint8_t>(word[place]);
    const bool last = place + 1 == size;
    const int32_t id = (last ? last_ : inner_)[byte];
    if (id < 0) {
      char name[8];
      std::snprintf(name, sizeof name, "0x%02x", byte);
      throw InputError(std::string("the vocabulary has no token for the byte ") + name +
                       (last ? " at the end of a word" : "") + ", and no unknown token");
    }
    symbols.push_back({id, place - 1, last ? kNone : place + 1});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](int32_t left) {
    if (left == kNone || symbols[left].next == kNone) return;
    const Ranked* merge = find_merge(symbols[left].id, symbols[symbols[left].next].id);
    if (merge) queue.push({merge->rank, left, merge->merged});
  };
  for (int32_t place = 0; place < size; ++place) consider(place);
  while (!queue.empty()) {
    const Candidate due = queue.top();
    queue.pop();
    Symbol& left = symbols[due.place];
    if (left.gone || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    // A neighbour may have changed since. tokenizers goes on when the result is still the same.
    const Ranked* merge = find_merge(left.id, right.id);
    if (!merge || merge->merged != due.merged) continue;
    left.id = due.merged;
    left.next = right.next;
    right.gone = true;
    if (left.next != kNone) symbols[left.next].previous = due.place;
    consider(left.previous);
    consider(due.place);
  }
  for (const Symbol& symbol : symbols) {
    if (!symbol.gone) ids.push_back(symbol.id);
  }
}

}  // namespace limewash::models
