// fuzz PARSER COUNT [SEED [FIRST]]: feeds damaged files to a parser, or to each of them (all). A
// fault is a crash, an exception other than InputError, more than 2 GiB beyond what the program
// had, or more than 20 s for one input. The input's number is printed, so that `fuzz PARSER 1 SEED
// NUMBER` repeats it.

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/parsers.h"

namespace {

using namespace limewash;

constexpr unsigned kSecondsPerInput = 20;
constexpr uint64_t kExtraMemory = uint64_t{2} << 30;

volatile uint64_t current_input = 0;

/// Printed without any library, since the heap may be what is broken.
void report_crash(int signal) {
  char text[96];
  const int length = std::snprintf(
      text, sizeof text, "\ninput %llu: signal %d\n", (unsigned long long)current_input, signal);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, static_cast<size_t>(length));
  ::_exit(1);
}

uint64_t virtual_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages;
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// Memory beyond this makes an allocation throw, and that is a fault.
void limit_memory() {
  const uint64_t bytes = virtual_bytes() + kExtraMemory;
  const rlimit limit{bytes, bytes};
  ::setrlimit(RLIMIT_AS, &limit);
}

int fuzz_parser(const fuzz::Parser& parser, uint64_t count, uint64_t seed, uint64_t first) {
  const fuzz::Mutator mutator(parser.corpus, parser.words);
  uint64_t accepted = 0, good = 0, good_refused = 0;
  double slowest = 0;
  for (uint64_t number = first; number < first + count; ++number) {
    current_input = number;
    const std::string input = mutator.make(seed, number);
    const auto start = std::chrono::steady_clock::now();
    ::alarm(kSecondsPerInput);
    bool refused = false;
    try {
      parser.parse(input);
      ++accepted;
    } catch (const InputError&) {
      refused = true;
    } catch (const std::exception& error) {
      std::cerr << parser.name << ": input " << number << " of seed " << seed << ": "
                << error.what() << "\n";
      return 1;
    }
    ::alarm(0);
    if (number % 100 == 0) {
      ++good;
      good_refused += refused;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    slowest = std::max(slowest, took.count());
  }
  std::cout << parser.name << ": " << count << " inputs of seed " << seed << ", " << accepted
            << " accepted, " << good - good_refused << " of " << good
            << " undamaged ones accepted, slowest " << slowest << " s\n";
  return good_refused == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 5) {
    std::cerr << "fuzz PARSER COUNT [SEED [FIRST]]\n";
    return 2;
  }
  spdlog::set_level(spdlog::level::off);
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    std::signal(signal, report_crash);
  }
  std::string work = std::filesystem::temp_directory_path() / "limewash-fuzz-XXXXXX";
  if (::mkdtemp(work.data()) == nullptr) {
    std::cerr << work << ": cannot be made\n";
    return 1;
  }
  int status = 2;
  try {
    const std::string wanted = argv[1];
    std::string names;
    const auto parsers = fuzz::all_parsers(LIMEWASH_SOURCE_DIR, work);
    // What loads on first use is no growth.
    for (const auto& parser : parsers) parser.parse(parser.corpus.front());
    limit_memory();
    for (const auto& parser : parsers) {
      names += " " + parser.name;
      if (wanted != "all" && wanted != parser.name) continue;
      const int outcome = fuzz_parser(parser,
                                      std::strtoull(argv[2], nullptr, 10),
                                      argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1,
                                      argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 0);
      status = status == 1 ? 1 : outcome;
    }
    if (status == 2) std::cerr << "parsers: all" << names << "\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    status = 1;
  }
  std::filesystem::remove_all(work);
  return status;
}
