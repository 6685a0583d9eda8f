#include "core/cli/launcher_error.h"

#include <atomic>
#include <cstdlib>
#include <ctime>

#include "core/cli/cli.h"
#include "core/files/files.h"
#include "core/log.h"

namespace retrace {

namespace {

std::atomic<Json (*)()> more_facts{nullptr};

}  // namespace

void set_launcher_facts(Json (*facts)()) {
  more_facts = facts;
}

void write_launcher_error(const std::string& message, int status) {
  const char* path = std::getenv("TORCHELASTIC_ERROR_FILE");
  if (path == nullptr || *path == 0) return;
  Json extra = Json::object();
  if (const auto facts = more_facts.load()) extra = facts();
  extra["py_callstack"] = message;
  extra["timestamp"] = std::to_string(std::time(nullptr));
  extra["rank"] = rank_from_environment();
  extra["exit_status"] = status;
  Json content;
  content["message"]["message"] = message;
  content["message"]["extraInfo"] = std::move(extra);
  try {
    write_file(path, to_text(content));
  } catch (const std::exception& error) {
    warn("cannot write TORCHELASTIC_ERROR_FILE: {}", error.what());
  }
}

}  // namespace retrace
