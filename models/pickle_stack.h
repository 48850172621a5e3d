#pragma once
// What a pickle's opcodes work on: its bytes, the values made so far, the stack with its marks, the
// memo. All bounded.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/pickle_machine.h"
#include "models/pickle_opcodes.h"

namespace limewash::models {

class PickleStack {
 public:
  /// `where` begins every message.
  PickleStack(std::string_view bytes, const std::string& where);

  /// The most values in all, on the stack and in the memo.
  static constexpr size_t kMaxValues = 1'000'000;

  /// Where the opcode that is being run stands.
  std::string here() const;
  [[noreturn]] void fail(const std::string& what) const;

  Opcode next_opcode();
  std::string_view take(uint64_t count);
  /// Little-endian, of `width` bytes.
  uint64_t number(unsigned width);
  /// Up to the next line feed.
  std::string_view line();
  uint64_t bytes_left() const;

  PickleValue& value(uint32_t place);
  /// Onto the stack: a value that is there already, or a new one.
  void push(uint32_t place);
  PickleValue& push_new(PickleKind kind);
  uint32_t top() const;
  uint32_t pop();

  void push_mark();
  /// False when the top of the stack is no mark.
  bool pop_top_mark();
  /// Everything above the last mark, which goes too.
  std::vector<uint32_t> pop_to_mark();

  /// Remembers the top of the stack.
  void memoize(uint64_t key);
  void recall(uint64_t key);
  size_t memo_size() const;

  Pickle& result();
  /// The result, with the top of the stack as its root.
  Pickle finish();

 private:
  std::string_view bytes_;
  std::string where_;
  uint64_t position_ = 0, opcode_at_ = 0;
  Pickle result_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, uint32_t> memo_;
};

}  // namespace limewash::models
