#include "core/net/http.h"

#include <curl/curl.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "core/error.h"
#include "core/text.h"

namespace retrace {

namespace {

constexpr size_t kMaxHeaderBytes = size_t{256} << 10;
constexpr const char* kMask = "<KEY>";  // stands for the secret in what came back

void check(CURLcode code, const char* what) {
  if (code != CURLE_OK) fail(Code::internal, "curl: {}: {}", what, curl_easy_strerror(code));
}
void check(CURLMcode code, const char* what) {
  if (code != CURLM_OK) fail(Code::internal, "curl: {}: {}", what, curl_multi_strerror(code));
}

std::string no_proxy() {
  std::string out = "localhost,127.0.0.1,::1";
  for (const char* name : {"no_proxy", "NO_PROXY"})
    if (const char* value = std::getenv(name); value && *value) return out + "," + value;
  return out;
}

struct Transfer {
  uint64_t ticket = 0;
  HttpRequest request;
  HttpResult result;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  size_t header_bytes = 0;
  bool too_large = false;
  char message[CURL_ERROR_SIZE] = "";

  Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }

  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    auto& t = *static_cast<Transfer*>(self);
    const size_t bytes = size * count;
    if (t.result.body.size() + bytes > t.request.max_response_bytes) {
      t.too_large = true;
      return 0;
    }
    t.result.body.append(data, bytes);
    return bytes;
  }

  static size_t on_header(char* data, size_t size, size_t count, void* self) {
    auto& t = *static_cast<Transfer*>(self);
    const std::string_view line(data, size * count);
    t.header_bytes += line.size();
    if (t.header_bytes > kMaxHeaderBytes) {
      t.too_large = true;
      return 0;
    }
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos)
      t.result.headers[to_lower(trim(line.substr(0, colon)))] = trim(line.substr(colon + 1));
    return line.size();
  }
};

template <class T>
void set(Transfer& t, CURLoption option, T value) {
  check(curl_easy_setopt(t.easy, option, value), "option");
}

void add_header(Transfer& t, const std::string& line) {
  curl_slist* longer = curl_slist_append(t.headers, line.c_str());
  ensure(longer != nullptr, "curl has memory for a header");
  t.headers = longer;
}

void prepare(Transfer& t) {
  const HttpRequest& r = t.request;
  t.easy = curl_easy_init();
  ensure(t.easy != nullptr, "curl makes a handle");
  for (const std::string& header : r.headers) add_header(t, header);
  if (!r.bearer.empty()) add_header(t, "Authorization: Bearer " + r.bearer);
  add_header(t, "Expect:");
  set(t, CURLOPT_URL, r.url.c_str());
  set(t, CURLOPT_HTTPHEADER, t.headers);
  set(t, CURLOPT_PROTOCOLS_STR, "http,https");
  set(t, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(t, CURLOPT_FOLLOWLOCATION, 0L);
  set(t, CURLOPT_NOSIGNAL, 1L);
  set(t, CURLOPT_NOPROXY, no_proxy().c_str());
  set(t, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(r.connect_timeout_s * 1000));
  set(t, CURLOPT_TIMEOUT_MS, static_cast<long>(r.total_timeout_s * 1000));
  set(t, CURLOPT_USERAGENT, "retrace");
  if (r.method == "POST") {
    set(t, CURLOPT_POST, 1L);
    set(t, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
    set(t, CURLOPT_POSTFIELDS, r.body.c_str());
  } else {
    ensure(r.method == "GET", "a request is a GET or a POST");
  }
  set(t, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(t, CURLOPT_WRITEDATA, &t);
  set(t, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(t, CURLOPT_HEADERDATA, &t);
  set(t, CURLOPT_ERRORBUFFER, t.message);
  set(t, CURLOPT_PRIVATE, &t);
}

HttpFailure failure_of(const Transfer& t, CURLcode code) {
  if (t.too_large) return HttpFailure::too_large;
  long connected = 0;
  curl_off_t connect_us = 0;
  curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &connected);
  curl_easy_getinfo(t.easy, CURLINFO_CONNECT_TIME_T, &connect_us);
  switch (code) {
    case CURLE_OK:
      return HttpFailure::none;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return HttpFailure::refused;
    case CURLE_OPERATION_TIMEDOUT:
      return connect_us == 0 ? HttpFailure::refused : HttpFailure::timed_out;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return HttpFailure::cut;
    default:
      return HttpFailure::other;
  }
}

}  // namespace

struct HttpClient::State {
  CURLM* multi = nullptr;
  uint64_t next_ticket = 1;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers;

  ~State() {
    for (auto& [easy, transfer] : transfers) curl_multi_remove_handle(multi, easy);
    transfers.clear();
    curl_multi_cleanup(multi);
  }

  HttpResult finish(CURL* easy, CURLcode code) {
    Transfer& t = *transfers.at(easy);
    HttpResult out = std::move(t.result);
    out.ticket = t.ticket;
    out.failure = failure_of(t, code);
    if (out.failure == HttpFailure::none) {
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      out.status = static_cast<int>(status);
    } else {
      out.message = out.failure == HttpFailure::too_large
                        ? fmt::format("the answer is longer than {} bytes", t.request.max_response_bytes)
                        : std::string(*t.message ? t.message : curl_easy_strerror(code));
      out.body.clear();
      out.headers.clear();
    }
    if (!t.request.bearer.empty()) {
      for (std::string* text : {&out.body, &out.message})
        if (text->find(t.request.bearer) != std::string::npos)
          *text = replace_all(*text, t.request.bearer, kMask);
      for (auto& [name, value] : out.headers) value = replace_all(value, t.request.bearer, kMask);
    }
    curl_multi_remove_handle(multi, easy);
    transfers.erase(easy);
    return out;
  }
};

HttpClient::HttpClient() : state_(std::make_unique<State>()) {
  static std::once_flag once;
  std::call_once(once, [] { check(curl_global_init(CURL_GLOBAL_DEFAULT), "start"); });
  state_->multi = curl_multi_init();
  ensure(state_->multi != nullptr, "curl makes a multi handle");
}

HttpClient::~HttpClient() = default;

uint64_t HttpClient::start(HttpRequest request) {
  auto transfer = std::make_unique<Transfer>();
  transfer->ticket = state_->next_ticket++;
  transfer->request = std::move(request);
  prepare(*transfer);
  CURL* easy = transfer->easy;
  const uint64_t ticket = transfer->ticket;
  check(curl_multi_add_handle(state_->multi, easy), "add a request");
  state_->transfers.emplace(easy, std::move(transfer));
  return ticket;
}

std::vector<HttpResult> HttpClient::wait(double timeout_s) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(std::max(0.0, timeout_s)));
  std::vector<HttpResult> out;
  for (;;) {
    int running = 0, queued = 0;
    check(curl_multi_perform(state_->multi, &running), "perform");
    while (CURLMsg* message = curl_multi_info_read(state_->multi, &queued))
      if (message->msg == CURLMSG_DONE)
        out.push_back(state_->finish(message->easy_handle, message->data.result));
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (!out.empty() || left <= 0) return out;
    check(curl_multi_poll(state_->multi, nullptr, 0, static_cast<int>(left) + 1, nullptr), "wait");
  }
}

size_t HttpClient::under_way() const {
  return state_->transfers.size();
}

}  // namespace retrace
