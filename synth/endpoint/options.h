// From a recipe's section, [generator] or [scorer], to how its servers are asked and what that may cost: the
// keys of the two have the same names.
#pragma once

#include "synth/endpoint/config.h"
#include "synth/endpoint/endpoints.h"

namespace retrace::synth {

template <class Config>
EndpointOptions endpoint_options(const Config& c) {
  EndpointOptions out;
  out.role = Config::kSection;
  out.urls = c.endpoints;
  out.api_key_env = c.api_key_env;
  out.connect_timeout_s = c.connect_timeout_s;
  out.timeout_s = c.timeout_s;
  out.retries = c.retries;
  out.backoff_s = c.backoff_s;
  out.max_in_flight = c.max_in_flight;
  out.max_response_mib = c.max_response_mib;
  return out;
}

template <class Config>
BudgetLimits budget_limits(const Config& c) {
  return {c.budget_tokens, c.budget_usd, c.usd_per_million_input, c.usd_per_million_output};
}

}  // namespace retrace::synth
