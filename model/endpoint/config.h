// The keys that every recipe section of a model behind HTTP has. A section's struct inherits from this and
// sets its own defaults in its constructor.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "core/recipe/fields.h"

namespace retrace::model {

struct BudgetLimits;     // model/endpoint/budget.h
struct EndpointOptions;  // model/endpoint/endpoints.h

struct EndpointConfig {
  std::vector<std::string> endpoints;
  std::string model = "", dtype = "", api_key_env = "";
  int64_t attempts = 3;
  double connect_timeout_s = 5, timeout_s = 600, backoff_s = 0.5;
  int64_t retries = 8, max_in_flight = 32, max_response_mib = 16, budget_tokens = 0;
  double budget_usd = 0, usd_per_million_input = 0, usd_per_million_output = 0;

  static auto endpoints_field() {
    return field("endpoints", &EndpointConfig::endpoints,
                 "Base addresses of servers of one model (http://host:8000); used in turn");
  }
  static auto model_field(const char* help) { return field("model", &EndpointConfig::model, help); }
  static auto dtype_field() {
    return field("dtype", &EndpointConfig::dtype,
                 "What the server was told to compute in (bfloat16, fp8, ...); answers computed in another "
                 "dtype are not reused. Empty = not stated");
  }
  static auto api_key_env_field() {
    return field("api_key_env", &EndpointConfig::api_key_env,
                 "Environment variable that holds the API key; the key itself is never stored");
  }
  static auto attempts_field(const char* help) {
    return field("attempts", &EndpointConfig::attempts, help).range(1, 20);
  }
  // Time limits, retries, concurrency and budgets.
  static auto request_fields() {
    using E = EndpointConfig;
    return std::tuple{
        field("connect_timeout_s", &E::connect_timeout_s, "Time to connect").unit("s").range(0.01, 600),
        field("timeout_s", &E::timeout_s, "Time for a whole answer").unit("s").range(0.05, 86400),
        field("retries", &E::retries, "Times a request is sent again after a transient error").range(0, 1000),
        field("backoff_s", &E::backoff_s, "First pause after such an error; doubles up to 8 s")
            .unit("s")
            .range(0.001, 60),
        field("max_in_flight", &E::max_in_flight,
              "In-flight requests of an endpoint at most; fewer while it answers 429")
            .range(1, 4096),
        field("max_response_mib", &E::max_response_mib, "A longer response is refused")
            .unit("MiB")
            .range(1, 1024),
        field("budget_tokens", &E::budget_tokens,
              "Tokens, prompts included, that one round's synthesis may use; 0 = no limit")
            .unit("tokens")
            .at_least(0),
        field("budget_usd", &E::budget_usd, "Money that one round's synthesis may cost; 0 = no limit")
            .unit("USD")
            .at_least(0),
        field("usd_per_million_input", &E::usd_per_million_input, "Price of a million prompt tokens")
            .unit("USD")
            .at_least(0),
        field("usd_per_million_output", &E::usd_per_million_output, "Price of a million generated tokens")
            .unit("USD")
            .at_least(0)};
  }
};

// `role`: the section's name, in messages and in the record of what was spent.
EndpointOptions endpoint_options(const EndpointConfig& config, const std::string& role);
BudgetLimits budget_limits(const EndpointConfig& config);

}  // namespace retrace::model
