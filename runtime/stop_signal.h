#pragma once
// A request to stop: SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 set a flag that every long loop polls.

namespace limewash {

/// Take the stop signals, on a thread of their own. Call it before anything that computes: the
/// calling thread, and with it every thread that it starts later, no longer handles these signals.
/// The reason is oneDNN's float32 matrix product, which (up to release 3.11.1; uxlfoundation/oneDNN
/// issue 4845) points the stack register into the heap: a handler that interrupts it writes its
/// frame over whatever lies there. A second SIGINT ends the process at once, as a person at a
/// terminal expects. Throws std::system_error when no thread can be started.
void install_stop_signals();

/// In a forked child, before exec: let the program that it becomes take these signals. Safe there.
void unblock_stop_signals();

/// Whether a stop was asked for.
bool stop_requested();

/// Ask for a stop from inside the process, and take the request back (tests).
void request_stop(bool stop = true);

}  // namespace limewash
