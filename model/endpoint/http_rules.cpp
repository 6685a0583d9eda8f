#include "model/endpoint/http_rules.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace retrace::model {

namespace {

constexpr size_t kLongestErrorBytes = size_t{1} << 16;
constexpr const char* kOfAnswers[] = {"choices", "text", "output_ids", "meta_info"};
constexpr int64_t kBelievable = int64_t{1} << 40;  // tokens that a server may claim

std::optional<double> number(const std::map<std::string, std::string>& headers, const char* name) {
  const auto found = headers.find(name);
  if (found == headers.end()) return std::nullopt;
  double value = 0;
  const char* end = found->second.data() + found->second.size();
  const auto read = std::from_chars(found->second.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value) || value < 0) return std::nullopt;
  return value;
}

// Seconds since 1970 of the three forms of an HTTP date (RFC 9110, 5.6.7), all in GMT.
std::optional<double> http_date(const std::map<std::string, std::string>& headers, const char* name) {
  const auto found = headers.find(name);
  if (found == headers.end()) return std::nullopt;
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* end = ::strptime(found->second.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return static_cast<double>(::timegm(&parts));
  }
  return std::nullopt;
}

// A server or a gateway that failed inside, and said so in the body of a 200.
bool is_error_body(const std::string& body) {
  if (body.size() > kLongestErrorBytes || body.find("\"error\"") == std::string::npos) return false;
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("error") || json["error"].is_null()) return false;
  return std::none_of(std::begin(kOfAnswers), std::end(kOfAnswers),
                      [&](const char* key) { return json.contains(key); });
}

}  // namespace

std::optional<double> retry_after_s(const HttpResult& result) {
  if (const auto ms = number(result.headers, "retry-after-ms")) return *ms / 1000;
  if (const auto seconds = number(result.headers, "retry-after")) return seconds;
  const auto date = http_date(result.headers, "retry-after");
  if (!date) return std::nullopt;
  const auto now = http_date(result.headers, "date");
  return std::max(0.0, *date - now.value_or(static_cast<double>(std::time(nullptr))));
}

bool whole(const HttpResult& r) {
  if (r.failure != HttpFailure::none) return false;
  if (r.status == 200) return !is_error_body(r.body);
  return r.status == 400 || r.status == 413 || r.status == 422;
}

bool may_pass(const HttpResult& r) {
  if (r.failure != HttpFailure::none) return r.failure != HttpFailure::too_large;
  const auto said = r.headers.find("x-should-retry");
  if (said != r.headers.end() && (said->second == "true" || said->second == "false"))
    return said->second == "true";
  return r.status == 200 || r.status == 408 || r.status == 409 || r.status == 425 || r.status == 429 ||
         r.status >= 500;
}

bool may_have_cost(const HttpResult& r) {
  return r.failure == HttpFailure::timed_out || r.failure == HttpFailure::cut ||
         r.failure == HttpFailure::too_large;
}

std::string describe(const HttpResult& r) {
  if (r.failure != HttpFailure::none) return r.message;
  return fmt::format("HTTP {}: {}", r.status, shorten(utf8_lossy(r.body.substr(0, 400)), 200));
}

std::optional<Usage> usage_in(const std::string& body) {
  try {
    const Json json = parse_json(body, "answer");
    const char* part = json.contains("usage") ? "usage" : "meta_info";
    const Json& said = json.at(part);
    const Usage usage = {get<int64_t>(said, "prompt_tokens", part),
                         get_or<int64_t>(said, "completion_tokens", 0, part)};
    if (usage.prompt_tokens < 0 || usage.completion_tokens < 0) return std::nullopt;
    if (usage.prompt_tokens > kBelievable || usage.completion_tokens > kBelievable) return std::nullopt;
    return usage;
  } catch (const Error&) {
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace retrace::model
