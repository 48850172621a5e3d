#pragma once

namespace limewash {

/// Erase the progress bar from the terminal's current line, so that a log line can stand there. The
/// bar comes back with its next step. Does nothing when no bar is drawn.
void erase_progress_line();

}  // namespace limewash
