#include "model/endpoint/config.h"

#include "model/endpoint/budget.h"
#include "model/endpoint/endpoints.h"

namespace retrace::model {

EndpointOptions endpoint_options(const EndpointConfig& config, const std::string& role) {
  EndpointOptions out;
  out.role = role;
  out.urls = config.endpoints;
  out.api_key_env = config.api_key_env;
  out.connect_timeout_s = config.connect_timeout_s;
  out.timeout_s = config.timeout_s;
  out.retries = config.retries;
  out.backoff_s = config.backoff_s;
  out.max_in_flight = config.max_in_flight;
  out.max_response_mib = config.max_response_mib;
  return out;
}

BudgetLimits budget_limits(const EndpointConfig& config) {
  return {config.budget_tokens, config.budget_usd, config.usd_per_million_input,
          config.usd_per_million_output};
}

}  // namespace retrace::model
