// HTTP/1.1 requests over libcurl: several at once on one thread, connections kept alive. Redirects are never
// followed, bodies are capped, and a secret never comes back: where a server repeats it, it is masked.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace retrace {

struct HttpRequest {
  std::string method = "POST", url, body;
  std::vector<std::string> headers;  // "Name: value"
  std::string bearer;                // sent as "Authorization: Bearer ..."; masked in whatever comes back
  double connect_timeout_s = 5, total_timeout_s = 600;
  uint64_t max_response_bytes = uint64_t{64} << 20;
};

enum class HttpFailure {
  none,       // a whole answer came, of whatever status
  refused,    // no connection: nothing was sent
  timed_out,  // connected, but no whole answer in time
  cut,        // the connection broke before the answer was whole
  too_large,  // more than max_response_bytes
  other,      // bad URL, no HTTP, TLS trouble
};

struct HttpResult {
  uint64_t ticket = 0;
  HttpFailure failure = HttpFailure::none;
  int status = 0;                              // 0 unless failure is none
  std::string body, message;                   // message: why it failed
  std::map<std::string, std::string> headers;  // names in lower case, the last of each
};

// Not thread-safe; one a thread. Proxies are taken from the environment, as curl does, but never for the
// loopback addresses.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();  // what is under way is dropped
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  uint64_t start(HttpRequest request);  // returns its ticket
  // What finished, in order; waits at most timeout_s for the first.
  std::vector<HttpResult> wait(double timeout_s);
  size_t under_way() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace
