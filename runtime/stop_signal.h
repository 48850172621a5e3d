#pragma once
// A request to stop: SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 set a flag that every long loop polls.

namespace limewash {

/// Install the handlers. A second SIGINT ends the process at once, as a person at a terminal
/// expects.
void install_stop_signals();

/// Whether a stop was asked for.
bool stop_requested();

/// Ask for a stop from inside the process, and take the request back (tests).
void request_stop(bool stop = true);

}  // namespace limewash
