// A model server that a recipe's command starts for one round (search.serve_command): awaited until it
// answers, and gone, with its whole process group, when this object is.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/process/background_process.h"

namespace retrace::model {

struct ServeOptions {
  std::string command;             // of the shell; see fill_serve_command
  std::string health = "/health";  // path that answers GET with 200 once the model is ready
  double timeout_s = 900;          // to be ready
  double stop_s = 20;              // from SIGTERM to SIGKILL
};

struct ServedWeights {
  std::filesystem::path folder;  // Hugging Face form
  std::string model;             // the name to serve it under: it names these very weights
  std::string host = "127.0.0.1";
  int64_t round = 1;
};

// The command with {weights}, {model}, {host}, {port} and {round} filled in as quoted words of the shell.
// Error{recipe} if it does not say {port}: nothing could be found there.
std::string fill_serve_command(const std::string& command, const ServedWeights& weights, int port);

class ServedModel {
 public:
  // Returns once GET ServeOptions::health is answered with 200. Error{network} (status 75), with the end of
  // the log, if the command ends before or timeout_s passes; nothing is left running then.
  ServedModel(const ServeOptions& options, const ServedWeights& weights, const std::filesystem::path& log);
  ~ServedModel();  // SIGTERM to the group, SIGKILL after stop_s
  const std::string& url() const { return url_; }

 private:
  void await_answer();
  ServeOptions options_;
  std::filesystem::path log_;
  std::string url_;
  std::unique_ptr<BackgroundProcess> process_;
};

}  // namespace retrace::model
