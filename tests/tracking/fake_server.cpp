#include "tests/tracking/fake_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <chrono>
#include <netinet/in.h>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace limewash::tracking {
namespace {

int listen_on(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener, 16) != 0) {
    ::close(listener);
    throw std::runtime_error("cannot listen on loopback");
  }
  return listener;
}

int port_of(int listener) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace

int unused_port() {
  const int listener = listen_on(0);
  const int port = port_of(listener);
  ::close(listener);
  return port;
}

FakeServer::FakeServer(Handler handler, int port)
    : handler_(std::move(handler)), listener_(listen_on(port)), port_(port_of(listener_)) {
  acceptor_ = std::thread([this] { accept_connections(); });
}

FakeServer::~FakeServer() {
  stop_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int connection : open_) ::shutdown(connection, SHUT_RDWR);
  }
  for (auto& worker : workers_) worker.join();
}

std::vector<FakeServer::Request> FakeServer::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeServer::accept_connections() {
  while (!stop_) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) break;
    ++connections_;
    const std::lock_guard lock(mutex_);
    open_.push_back(connection);
    workers_.emplace_back([this, connection] { serve(connection); });
  }
}

void FakeServer::serve(int connection) {
  std::string bytes;
  const auto receive_more = [&] {
    char block[65536];
    const ssize_t got = ::recv(connection, block, sizeof(block), 0);
    if (got > 0) bytes.append(block, static_cast<size_t>(got));
    return got > 0;
  };
  while (!stop_) {
    size_t head = std::string::npos;
    while ((head = bytes.find("\r\n\r\n")) == std::string::npos && receive_more()) {
    }
    if (head == std::string::npos) break;
    Request request;
    std::istringstream lines(bytes.substr(0, head));
    lines >> request.method >> request.target;
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      const size_t colon = line.find(':');
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
      });
      request.headers[name] = line.substr(std::min(colon + 2, line.size()));
    }
    const size_t length = request.headers.contains("content-length")
                              ? std::stoul(request.headers["content-length"])
                              : 0;
    bytes.erase(0, head + 4);
    while (bytes.size() < length && receive_more()) {
    }
    if (bytes.size() < length) break;
    request.body = bytes.substr(0, length);
    bytes.erase(0, length);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (!answer(connection, handler_(request))) break;
  }
  const std::lock_guard lock(mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), connection));
  ::close(connection);
}

bool FakeServer::answer(int connection, const Reply& reply) {
  using std::chrono::milliseconds;
  if (reply.manner == Manner::kSilence) return false;
  const std::string text = "HTTP/1.1 " + std::to_string(reply.status) +
                           " Status\r\nContent-Type: application/json\r\nContent-Length: " +
                           std::to_string(reply.body.size()) + "\r\n" + reply.headers + "\r\n" +
                           reply.body;
  if (reply.manner == Manner::kHang) {
    while (!stop_) std::this_thread::sleep_for(milliseconds(10));
    return false;
  }
  const size_t piece = reply.manner == Manner::kTrickle ? 1 : text.size();
  for (size_t sent = 0; sent < text.size() && !stop_;) {
    const ssize_t wrote = ::send(connection, text.data() + sent, piece, MSG_NOSIGNAL);
    if (wrote <= 0) return false;
    sent += static_cast<size_t>(wrote);
    if (reply.manner == Manner::kTrickle) std::this_thread::sleep_for(milliseconds(50));
  }
  return true;
}

}  // namespace limewash::tracking
