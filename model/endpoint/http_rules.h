// What an HTTP result means to whoever asked: an answer, a reason to ask again, or a refusal.
#pragma once

#include <optional>
#include <string>

#include "core/net/http.h"
#include "model/endpoint/evidence.h"

namespace retrace::model {

// retry-after-ms, else Retry-After: seconds, or a date (RFC 9110), which is reckoned from the server's own
// Date where it says one; 0 if that has passed. What is neither counts as unsaid.
std::optional<double> retry_after_s(const HttpResult& result);
// An answer to keep: 200 (but not one whose body is an error and nothing else), 400, 413, 422.
bool whole(const HttpResult& result);
// Of what is not whole: connection errors, an error told with 200, 408, 409, 425, 429 and 5xx;
// x-should-retry, where the server says it, wins.
bool may_pass(const HttpResult& result);
// Whether the server may have worked, and charged, for an answer that did not come.
bool may_have_cost(const HttpResult& result);
std::string describe(const HttpResult& result);
// "usage" of OpenAI's answers, "meta_info" of SGLang's; nullopt where there is none to believe.
std::optional<Usage> usage_in(const std::string& body);

}  // namespace retrace::model
