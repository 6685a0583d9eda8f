// Names of revisions in a git folder, read as plain files: HEAD, refs, packed-refs. No configuration is read.
#pragma once

#include <string>

namespace retrace::synth {

// The object id (40 hex digits) that `revision` ("" = HEAD, a branch, a tag, a full refs/ name) names, or ""
// if no ref has that name. Error{corrupt} on refs that break git's rules.
std::string resolve_ref(int git_folder_fd, const std::string& revision, const std::string& where);

}  // namespace retrace::synth
