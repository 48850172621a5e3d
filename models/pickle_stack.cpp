#include "models/pickle_stack.h"

#include <utility>

#include "runtime/error.h"

namespace limewash::models {

PickleStack::PickleStack(std::string_view bytes, const std::string& where)
    : bytes_(bytes), where_(where) {}

std::string PickleStack::here() const {
  return where_ + ": pickle, byte " + std::to_string(opcode_at_) + ": ";
}

void PickleStack::fail(const std::string& what) const {
  throw InputError(here() + what);
}

Opcode PickleStack::next_opcode() {
  opcode_at_ = position_;
  return static_cast<Opcode>(number(1));
}

std::string_view PickleStack::take(uint64_t count) {
  if (count > bytes_left()) fail("it ends too early (truncated?)");
  const std::string_view taken = bytes_.substr(position_, count);
  position_ += count;
  return taken;
}

uint64_t PickleStack::number(unsigned width) {
  uint64_t value = 0;
  const std::string_view taken = take(width);
  for (unsigned i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(taken[i]);
  return value;
}

std::string_view PickleStack::line() {
  const size_t end = bytes_.find('\n', position_);
  if (end == std::string_view::npos) fail("it ends too early (truncated?)");
  const std::string_view text = take(end - position_);
  take(1);
  return text;
}

uint64_t PickleStack::bytes_left() const {
  return bytes_.size() - position_;
}

PickleValue& PickleStack::value(uint32_t place) {
  return result_.values[place];
}

void PickleStack::push(uint32_t place) {
  if (stack_.size() >= kMaxValues) fail("it piles up too many values");
  stack_.push_back(place);
}

PickleValue& PickleStack::push_new(PickleKind kind) {
  if (result_.values.size() >= kMaxValues) fail("it holds too many values");
  push(static_cast<uint32_t>(result_.values.size()));
  result_.values.emplace_back().kind = kind;
  return result_.values.back();
}

uint32_t PickleStack::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty");
  return stack_.back();
}

uint32_t PickleStack::pop() {
  const uint32_t place = top();
  stack_.pop_back();
  return place;
}

void PickleStack::push_mark() {
  if (marks_.size() >= kMaxValues) fail("it piles up too many marks");
  marks_.push_back(stack_.size());
}

bool PickleStack::pop_top_mark() {
  if (marks_.empty() || marks_.back() != stack_.size()) return false;
  marks_.pop_back();
  return true;
}

std::vector<uint32_t> PickleStack::pop_to_mark() {
  if (marks_.empty()) fail("there is no mark");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<uint32_t> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleStack::memoize(uint64_t key) {
  if (memo_.size() >= kMaxValues) fail("it remembers too many values");
  memo_[key] = top();
}

void PickleStack::recall(uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) fail("it recalls a value that it never remembered");
  push(found->second);
}

size_t PickleStack::memo_size() const {
  return memo_.size();
}

Pickle& PickleStack::result() {
  return result_;
}

Pickle PickleStack::finish() {
  result_.root = pop();
  result_.bytes_used = position_;
  return std::move(result_);
}

}  // namespace limewash::models
