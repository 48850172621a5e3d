#pragma once
// Columns of text for a terminal.

#include <string>
#include <vector>

namespace limewash::launcher {

/// Rows of cells as lines of aligned columns, two spaces between them; the first `left` columns are
/// aligned to the left, the others to the right. A missing cell is empty. Widths count characters,
/// not bytes; control characters are shown as '?'.
std::string text_table(const std::vector<std::vector<std::string>>& rows, size_t left);

}  // namespace limewash::launcher
