// A server on a loopback port that can be as rude as a test wants: the handler decides what bytes go back,
// how slowly, and whether the connection survives.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/json.h"

namespace retrace::tests {

struct Received {
  std::string method, path, headers, body;
  int number = 0;      // of the request, from 0, over all connections
  int connection = 0;  // from 0
  Json json() const { return parse_json(body, "request"); }
};

class Connection {
 public:
  Connection(int fd, const std::atomic<bool>& stop) : fd_(fd), stop_(stop) {}
  void raw(const std::string& bytes);
  void answer(int status, const std::string& body, const std::string& more_headers = "");
  void ok(const Json& body) { answer(200, to_text(body)); }
  void hang();  // until the client goes away or the server is stopped
  void pause(double seconds);
  void drop() { dropped_ = true; }  // the connection is cut after the handler
  bool dropped() const { return dropped_; }

 private:
  int fd_;
  const std::atomic<bool>& stop_;
  bool dropped_ = false;
};

class LoopbackServer {
 public:
  using Handler = std::function<void(const Received&, Connection&)>;
  explicit LoopbackServer(Handler handler, int port = 0);
  ~LoopbackServer();
  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<Received> received() const;
  int connections() const { return connections_; }
  int most_at_once() const { return most_at_once_; }

 private:
  void accept_all();
  void serve(int fd, int connection);
  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0}, at_once_{0}, most_at_once_{0};
  mutable std::mutex mutex_;
  std::vector<Received> received_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// Chat answer in OpenAI's shape.
Json chat_answer(const std::string& text, int prompt_tokens = 10, int completion_tokens = 5);

}  // namespace retrace::tests
