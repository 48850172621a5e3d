#include "runtime/rank_store.h"

#include <chrono>
#include <exception>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "runtime/communicator.h"
#include "runtime/error.h"

namespace limewash {

namespace {

constexpr std::chrono::seconds kStoreTimeout{120};

c10d::TCPStoreOptions store_options(bool serve, uint16_t port) {
  c10d::TCPStoreOptions options;
  options.isServer = serve;
  options.port = port;
  // The others cannot come before they know the port.
  options.waitWorkers = false;
  options.timeout = kStoreTimeout;
  return options;
}

}  // namespace

c10::intrusive_ptr<c10d::Store> make_rank_store(Communicator& ranks, const std::string& root_host) {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::string port, host = root_host, problem;
  if (ranks.rank() == 0) {
    try {
      store = c10::make_intrusive<c10d::TCPStore>(host, store_options(/*serve=*/true, 0));
      port = std::to_string(store->getPort());
    } catch (const std::exception& error) {
      problem = error.what();
      problem = problem.substr(0, problem.find('\n'));
    }
  }
  ranks.broadcast(problem, 0);
  ranks.broadcast(host, 0);
  if (!problem.empty()) {
    throw InputError("rank 0 cannot serve the other ranks on a port of " + host + ": " + problem);
  }
  ranks.broadcast(port, 0);
  if (ranks.rank() != 0) {
    const auto number = static_cast<uint16_t>(std::stoul(port));
    store = c10::make_intrusive<c10d::TCPStore>(host, store_options(/*serve=*/false, number));
  }
  return store;
}

}  // namespace limewash
