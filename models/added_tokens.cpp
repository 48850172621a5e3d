#include "models/added_tokens.h"

namespace limewash::models {

int32_t AddedTokenFinder::child(int32_t node, char byte) const {
  for (const auto& [label, next] : nodes_[node].children) {
    if (label == byte) return next;
  }
  return -1;
}

bool AddedTokenFinder::add(std::string_view token, int32_t id) {
  int32_t node = 0;
  for (const char byte : token) {
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_[node].children.emplace_back(byte, next);
      nodes_.emplace_back();
    }
    node = next;
  }
  if (nodes_[node].id >= 0) return false;
  nodes_[node].id = id;
  return true;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::find(std::string_view text,
                                                              size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    std::optional<Match> longest;
    int32_t node = 0;
    for (size_t end = begin; end < text.size();) {
      node = child(node, text[end++]);
      if (node < 0) break;
      if (nodes_[node].id >= 0) longest = Match{begin, end, nodes_[node].id};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace limewash::models
