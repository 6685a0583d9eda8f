#include "tests/shared/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/text.h"

namespace retrace::tests {

namespace {

bool readable(int fd, int wait_ms) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, wait_ms) > 0;
}

// False once the client has closed.
bool read_some(int fd, const std::atomic<bool>& stop, std::string& to) {
  char buffer[65536];
  while (!stop) {
    if (!readable(fd, 20)) continue;
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    to.append(buffer, static_cast<size_t>(n));
    return true;
  }
  return false;
}

}  // namespace

void Connection::raw(const std::string& bytes) {
  dropped_ = dropped_ || stop_;
  for (size_t at = 0; at < bytes.size() && !dropped_;) {
    const ssize_t n = send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0)
      dropped_ = true;
    else
      at += static_cast<size_t>(n);
  }
}

void Connection::answer(int status, const std::string& body, const std::string& more_headers) {
  raw(fmt::format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}", status,
                  body.size(), more_headers, body));
}

void Connection::hang() {
  std::string rest;
  while (read_some(fd_, stop_, rest)) {
  }
  dropped_ = true;
}

void Connection::pause(double seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!stop_ && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

LoopbackServer::LoopbackServer(Handler handler, int port) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ensure(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "a loopback port");
  ensure(listen(listener_, 64) == 0, "listening");
  socklen_t size = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

LoopbackServer::~LoopbackServer() {
  stop_ = true;
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

std::vector<Received> LoopbackServer::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

void LoopbackServer::accept_all() {
  while (!stop_) {
    if (!readable(listener_, 20)) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int number = connections_++;
    threads_.emplace_back([this, fd, number] { serve(fd, number); });
  }
}

void LoopbackServer::serve(int fd, int connection) {
  std::string buffer;
  Connection c(fd, stop_);
  while (!stop_ && !c.dropped()) {
    size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos && read_some(fd, stop_, buffer)) {
    }
    if (end == std::string::npos) break;
    Received r;
    r.connection = connection;
    r.headers = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    const auto words = split(std::string_view(r.headers).substr(0, r.headers.find('\r')), ' ');
    if (words.size() < 2) break;
    r.method = words[0];
    r.path = words[1];
    size_t length = 0;
    if (const size_t at = to_lower(r.headers).find("content-length:"); at != std::string::npos)
      length = std::stoul(r.headers.substr(at + 15));
    while (buffer.size() < length && read_some(fd, stop_, buffer)) {
    }
    if (buffer.size() < length) break;
    r.body = buffer.substr(0, length);
    buffer.erase(0, length);
    {
      const std::lock_guard lock(mutex_);
      r.number = static_cast<int>(received_.size());
      received_.push_back(r);
      most_at_once_ = std::max<int>(most_at_once_, ++at_once_);
    }
    handler_(r, c);
    --at_once_;
  }
  close(fd);
}

Json chat_answer(const std::string& text, int prompt_tokens, int completion_tokens) {
  return {
      {"id", "x"},
      {"choices",
       {{{"index", 0}, {"message", {{"role", "assistant"}, {"content", text}}}, {"finish_reason", "stop"}}}},
      {"usage", {{"prompt_tokens", prompt_tokens}, {"completion_tokens", completion_tokens}}}};
}

}  // namespace retrace::tests
