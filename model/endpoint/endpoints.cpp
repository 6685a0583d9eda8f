#include "model/endpoint/endpoints.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>

#include "core/error.h"
#include "core/log.h"
#include "core/net/http.h"
#include "core/process/signals.h"
#include "core/text.h"
#include "model/endpoint/http_rules.h"

namespace retrace::model {

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
constexpr double kPollS = 0.25;
constexpr double kRoomS = 0.02;  // how often a look is taken whether another thread's request has ended

Time later(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}
double seconds_until(Time time) {
  return std::chrono::duration<double>(time - Clock::now()).count();
}

std::string base_url(std::string url) {
  while (url.ends_with("/")) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  return url;
}

struct Job {
  size_t index = 0;
  Ask ask;
  std::string hash;
  int64_t tries = 0, spending = 0;
  size_t endpoint = 0;
  Time not_before = Clock::now();
};

}  // namespace

struct Endpoints::State {
  EndpointOptions options;
  Evidence& evidence;
  Budget& budget;
  Admission& admission;
  std::string key;
  std::vector<std::string> urls;
  std::vector<bool> checked, given_up;

  State(EndpointOptions o, Evidence& e, Budget& b, Admission& a)
      : options(std::move(o)), evidence(e), budget(b), admission(a) {}

  // Only now are servers and key needed.
  void before_the_first_request() {
    if (urls.empty())
      throw Error(Code::recipe, fmt::format("no endpoint of the {} is named", options.role),
                  "for example [\"http://127.0.0.1:8000\"]", options.role + ".endpoints");
    if (options.api_key_env.empty() || !key.empty()) return;
    const char* value = std::getenv(options.api_key_env.c_str());
    const std::string found = value ? std::string(trim(value)) : "";
    if (found.empty() || std::any_of(found.begin(), found.end(), [](char c) { return c < 33 || c == 127; }))
      throw Error(Code::recipe,
                  fmt::format("the environment variable {} holds no API key", options.api_key_env),
                  "set it for this process", options.role + ".api_key_env");
    key = found;
  }

  HttpRequest request(size_t endpoint, const Ask& ask) const {
    HttpRequest r;
    r.url = urls[endpoint] + ask.path;
    r.body = ask.body;
    r.headers = {"Content-Type: application/json", "Accept: application/json"};
    r.bearer = key;
    r.connect_timeout_s = options.connect_timeout_s;
    r.total_timeout_s = options.timeout_s;
    r.max_response_bytes = static_cast<uint64_t>(options.max_response_mib) << 20;
    return r;
  }

  Error over_budget() const {
    return Error(
        Code::incomplete, fmt::format("the {}'s budget of {} would be passed", options.role, budget.text()),
        "what is done is kept; raise the budget and start again to go on", options.role + ".budget_tokens");
  }
  Error gone(size_t endpoint, const std::string& why) const {
    return Error(Code::network, fmt::format("no answer from {}: {}", urls[endpoint], why),
                 "what is done is kept; see that the server runs, then start again",
                 options.role + ".endpoints");
  }
  Error refusal(size_t endpoint, const HttpResult& r) const {
    const bool moved = r.status >= 300 && r.status < 400;
    const bool access = r.status == 401 || r.status == 403;
    return Error(Code::recipe, fmt::format("{} refuses the request: {}", urls[endpoint], describe(r)),
                 moved    ? "redirects are not followed; name the server's own address"
                 : access ? fmt::format("is the right variable named in {}.api_key_env?", options.role)
                          : "does the server speak this API, and know this model?",
                 options.role + (access ? ".api_key_env" : ".endpoints"));
  }

  StoredAnswer stored(const HttpResult& r, const Ask& ask) const {
    if (r.failure == HttpFailure::too_large) return {0, r.message, ask.most};
    if (r.status != 200) return {r.status, r.body, {}};
    return {r.status, r.body, usage_in(r.body).value_or(ask.most)};
  }
};

namespace {

// One ask_all from its first request to its last answer.
class Exchange {
 public:
  Exchange(Endpoints::State& state, const Endpoints& owner, const Endpoints::Answered& answered)
      : s_(state), owner_(owner), answered_(answered) {}
  ~Exchange() {
    for (const auto& [ticket, job] : under_way_) s_.admission.leave(job.endpoint);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void run(std::vector<Ask> asks) {
    s_.given_up.assign(s_.urls.size(), false);
    for (size_t i = 0; i < asks.size(); ++i) submit(i, std::move(asks[i]));
    while (!waiting_.empty() || !under_way_.empty()) {
      tick();
      if (!fatal_) start_what_can();
      if (fatal_ && under_way_.empty()) throw *fatal_;
      for (const HttpResult& result : client_.wait(wait_s())) finished(result);
    }
    if (fatal_) throw *fatal_;
  }

 private:
  // Whoever ends the work waits for the answers under way, which are paid for; a stop signal does not.
  void tick() {
    if (!owner_.tick) return;
    try {
      owner_.tick();
    } catch (const Error& error) {
      if (stop_signal() != 0) throw;
      if (!fatal_) fatal_ = error;
    }
  }

  // From evidence at once, else into the queue; an answer may lead to another question.
  void submit(size_t index, Ask ask) {
    for (;;) {
      std::string hash = request_hash("POST", ask.path, ask.about + ask.body);
      const auto known = s_.evidence.find(hash, ask.attempt);
      if (!known) {
        Job job;
        job.index = index;
        job.ask = std::move(ask);
        job.hash = std::move(hash);
        waiting_.push_back(std::move(job));
        return;
      }
      auto next = answered_(index, *known);
      if (!next) return;
      ask = std::move(*next);
    }
  }

  void start_what_can() {
    if (!waiting_.empty()) s_.before_the_first_request();
    for (size_t at = 0; at < waiting_.size() && !fatal_;) {
      if (Clock::now() < waiting_[at].not_before) {
        ++at;
        continue;
      }
      const auto endpoint = s_.admission.enter(s_.given_up);
      if (!endpoint) return;
      bool started = false;
      try {
        started = checked(*endpoint) && start(waiting_[at], *endpoint);
      } catch (...) {
        s_.admission.leave(*endpoint);
        throw;
      }
      if (!started) {
        s_.admission.leave(*endpoint);
        return;
      }
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }

  // Runs the preflight once.
  bool checked(size_t at) {
    if (s_.checked[at] || !owner_.preflight) return true;
    try {
      owner_.preflight(at);
      return s_.checked[at] = true;
    } catch (const Error& error) {
      if (error.code() == Code::interrupted) throw;
      lost(at, error);
      return false;
    }
  }

  // A server that does not answer is given up while there are others.
  void lost(size_t at, const Error& error) {
    s_.given_up[at] = error.code() == Code::network;
    const bool others = std::count(s_.given_up.begin(), s_.given_up.end(), false) > 0;
    if (error.code() == Code::network && others)
      warn("{}; its work goes to the others", error.message());
    else if (!fatal_)
      fatal_ = error;
  }

  bool start(Job& job, size_t endpoint) {
    if (const Budget::Room room = s_.budget.reserve(job.ask.most); room != Budget::Room::fits) {
      if (room == Budget::Room::never) fatal_ = s_.over_budget();
      short_of_budget_ = true;
      return false;
    }
    short_of_budget_ = false;
    job.spending = s_.evidence.will_spend(s_.options.role, job.ask.most);
    job.endpoint = endpoint;
    const uint64_t ticket = client_.start(s_.request(endpoint, job.ask));
    under_way_.emplace(ticket, std::move(job));
    return true;
  }

  // Until something can be started; what ends meanwhile ends the wait too.
  double wait_s() const {
    if (fatal_ || waiting_.empty() || short_of_budget_) return kPollS;
    double job_s = kPollS;
    for (const Job& job : waiting_) job_s = std::min(job_s, seconds_until(job.not_before));
    const double endpoint_s = s_.admission.rest_s(s_.given_up);
    return std::clamp(std::max(job_s, endpoint_s), kRoomS, kPollS);
  }

  void finished(const HttpResult& result) {
    auto node = under_way_.extract(result.ticket);
    ensure(!node.empty(), "a result belongs to a request");
    Job job = std::move(node.mapped());
    s_.admission.leave(job.endpoint);
    short_of_budget_ = false;
    if (whole(result) || result.failure == HttpFailure::too_large) {
      s_.admission.went_well(job.endpoint);
      const StoredAnswer answer = s_.stored(result, job.ask);
      s_.evidence.record(job.hash, job.ask.attempt, answer, job.spending);
      s_.budget.settle(job.ask.most, answer.usage);
      if (auto next = answered_(job.index, answer)) submit(job.index, std::move(*next));
      return;
    }
    const Usage cost = may_have_cost(result) ? job.ask.most : Usage{};
    s_.evidence.settle(job.spending, cost);
    s_.budget.settle(job.ask.most, cost);
    const double rest = s_.admission.failed(job.endpoint, result, job.tries);
    if (!may_pass(result)) {
      if (!fatal_) fatal_ = s_.refusal(job.endpoint, result);
    } else if (++job.tries > s_.options.retries ||
               s_.admission.failures_in_a_row(job.endpoint) > s_.options.retries) {
      lost(job.endpoint, s_.gone(job.endpoint, describe(result)));
      job.not_before = Clock::now();
      job.tries = 0;
      if (!fatal_) waiting_.push_front(std::move(job));
    } else {
      debug("{}: {}; again in {:.1f} s", s_.urls[job.endpoint], describe(result), rest);
      job.not_before = later(rest);
      waiting_.push_front(std::move(job));  // before what was never tried
    }
  }

  Endpoints::State& s_;
  const Endpoints& owner_;
  const Endpoints::Answered& answered_;
  HttpClient client_;
  std::deque<Job> waiting_;
  std::map<uint64_t, Job> under_way_;
  std::optional<Error> fatal_;
  bool short_of_budget_ = false;  // what is under way, here or on other ranks, holds what is left
};

}  // namespace

AdmissionOptions admission_options(const EndpointOptions& o) {
  return {o.urls.size(), o.max_in_flight, o.backoff_s, o.cool_down_s, o.max_wait_s};
}

Endpoints::Endpoints(EndpointOptions options, Evidence& evidence, Budget& budget, Admission& admission)
    : state_(std::make_unique<State>(std::move(options), evidence, budget, admission)) {
  State& s = *state_;
  for (const std::string& url : s.options.urls) {
    if (!url.starts_with("http://") && !url.starts_with("https://"))
      throw Error(Code::recipe, fmt::format("'{}' is no http address", url), "",
                  s.options.role + ".endpoints");
    s.urls.push_back(base_url(url));
  }
  s.checked.assign(s.urls.size(), false);
  s.given_up = s.checked;
}

Endpoints::~Endpoints() = default;

const std::string& Endpoints::url(size_t endpoint) const {
  return state_->urls.at(endpoint);
}

void Endpoints::ask_all(std::vector<Ask> asks, const Answered& answered) {
  Exchange(*state_, *this, answered).run(std::move(asks));
}

StoredAnswer Endpoints::ask_directly(size_t endpoint, const Ask& ask) {
  State& s = *state_;
  s.before_the_first_request();
  HttpClient client;
  for (int64_t tries = 0;; ++tries) {
    for (Budget::Room room; (room = s.budget.reserve(ask.most)) != Budget::Room::fits;) {
      if (room == Budget::Room::never) throw s.over_budget();
      if (tick) tick();
      client.wait(kPollS);
    }
    const int64_t spending = s.evidence.will_spend(s.options.role, ask.most);
    client.start(s.request(endpoint, ask));
    std::vector<HttpResult> results;
    while (results.empty()) {
      if (tick) tick();
      results = client.wait(kPollS);
    }
    const HttpResult& result = results.front();
    const bool good = whole(result) || result.failure == HttpFailure::too_large;
    const StoredAnswer answer = good ? s.stored(result, ask) : StoredAnswer{};
    const Usage cost = good ? answer.usage : may_have_cost(result) ? ask.most : Usage{};
    s.evidence.settle(spending, cost);
    s.budget.settle(ask.most, cost);
    if (good) return answer;
    if (!may_pass(result)) throw s.refusal(endpoint, result);
    if (tries >= s.options.retries) throw s.gone(endpoint, describe(result));
    for (const Time until = later(s.admission.failed(endpoint, result, tries)); seconds_until(until) > 0;) {
      if (tick) tick();
      client.wait(std::min(kPollS, seconds_until(until)));
    }
  }
}

}  // namespace retrace::model
