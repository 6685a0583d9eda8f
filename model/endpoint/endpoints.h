// Requests to one or more HTTP servers of the same model: taken in turn as they admit, retried with back-off,
// paid from a budget, and answered from evidence where the same was asked before. One thread; answers are
// given to the caller as they come. Several threads that ask the same servers have one of these each, and
// share budget and admission.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/endpoint/admission.h"
#include "model/endpoint/budget.h"
#include "model/endpoint/evidence.h"

namespace retrace::model {

struct EndpointOptions {
  std::string role;               // "generator" or "scorer": names recipe keys, log lines and spending
  std::vector<std::string> urls;  // base addresses; a final "/" or "/v1" is dropped
  std::string api_key_env;
  double connect_timeout_s = 5, timeout_s = 600;
  int64_t retries = 8, max_in_flight = 32, max_response_mib = 16;
  double backoff_s = 0.5, cool_down_s = 2, max_wait_s = 60;  // first back-off; after 429; longest Retry-After
};

struct Ask {
  std::string path, body;  // body: JSON text, the same for the same question
  std::string about;       // what else names the question: a model that the body does not name
  int attempt = 0;         // which answer to the same question
  Usage most;              // what it can cost at most
};

AdmissionOptions admission_options(const EndpointOptions& options);

class Endpoints {
 public:
  // Endpoints and key are looked at when the first request is to be sent: Error{recipe} where one is missing.
  // `admission` is of the same endpoints; evidence, budget and admission must outlive this.
  Endpoints(EndpointOptions options, Evidence& evidence, Budget& budget, Admission& admission);
  ~Endpoints();

  // Called often while waiting; may throw to stop: nothing more is asked, what is under way is waited for,
  // unless a stop signal came.
  std::function<void()> tick;
  // Called once for each endpoint before its first request, with its number; throws to refuse the server.
  std::function<void(size_t)> preflight;

  // Called with each whole answer; may return what to ask next in its place.
  using Answered = std::function<std::optional<Ask>(size_t index, const StoredAnswer& answer)>;
  // Whole answers are those with status 200, 400, 413 or 422, and those too long to be kept (status 0). Any
  // other refusal is Error{recipe}; an endpoint that stays away Error{network}; a budget that does not
  // suffice Error{incomplete}. Before it throws, requests under way are waited for and recorded.
  void ask_all(std::vector<Ask> asks, const Answered& answered);
  // One request to one endpoint, past evidence; retried. Paid from the budget.
  StoredAnswer ask_directly(size_t endpoint, const Ask& ask);

  const std::string& url(size_t endpoint) const;

  struct State;  // of endpoints.cpp

 private:
  std::unique_ptr<State> state_;
};

}  // namespace retrace::model
