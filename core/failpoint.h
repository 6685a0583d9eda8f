// Named crash points. A recipe or a test says debug.fail_at = "name[:rank[:step[:kill|throw|stop|enospc]]]".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retrace {

// Arms the points of a comma-separated list for this process; "" disarms. Error{recipe} on an unknown name or
// action.
void arm_failpoints(const std::string& spec, int rank);
// To be called where a crash is interesting. Does nothing unless armed for this name, rank and step.
// kill: SIGKILL to this process; stop: SIGSTOP; throw: Error{internal}; enospc: Error{io}.
void failpoint(const char* name, int64_t step = -1);
// All names that exist; a test enumerates them so that a new one without a test fails.
const std::vector<std::string>& failpoint_names();

}  // namespace retrace
