#include "runtime/out_of_memory.h"

#include <algorithm>
#include <array>
#include <new>
#include <string_view>

#include <c10/util/Exception.h>

namespace limewash {

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  // LibTorch's CPU allocator and oneDNN throw errors of no class of their own.
  static constexpr std::array<std::string_view, 6> kTexts = {"std::bad_alloc",
                                                             "can't allocate memory",
                                                             "not enough memory",
                                                             "out of memory",
                                                             "could not create a memory",
                                                             "Cannot allocate memory"};
  const std::string_view text = error.what();
  return std::any_of(kTexts.begin(), kTexts.end(), [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  });
}

}  // namespace limewash
