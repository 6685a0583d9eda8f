#include "model/endpoint/served_model.h"

#include <algorithm>
#include <map>

#include "core/clock.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/net/http.h"
#include "core/process/process.h"
#include "core/process/signals.h"
#include "core/text.h"

namespace retrace::model {

namespace {

constexpr double kPollS = 0.25, kAnswerS = 5;
constexpr size_t kTailLines = 12, kTailBytes = 4000;

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

std::string tail_of(const fs::path& log) {
  std::string text = fs::exists(log) ? read_file(log) : "";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) return "it wrote nothing";
  size_t begin = text.size();
  for (size_t lines = 0; begin > 0 && text.size() - begin < kTailBytes; --begin)
    if (text[begin - 1] == '\n' && ++lines == kTailLines) break;
  return "its output ends:\n" + text.substr(begin);
}

}  // namespace

std::string fill_serve_command(const std::string& command, const ServedWeights& weights, int port) {
  if (command.find("{port}") == std::string::npos)
    throw Error(Code::recipe, "the command does not say {port}: the served model could not be found",
                "for example: vllm serve {weights} --served-model-name {model} --host {host} --port {port}",
                "search.serve_command");
  const std::map<std::string, std::string> values = {{"{weights}", weights.folder.string()},
                                                     {"{model}", weights.model},
                                                     {"{host}", weights.host},
                                                     {"{port}", std::to_string(port)},
                                                     {"{round}", std::to_string(weights.round)}};
  std::string out;
  for (size_t at = 0; at < command.size();) {
    const auto found = std::find_if(values.begin(), values.end(), [&](const auto& entry) {
      return command.compare(at, entry.first.size(), entry.first) == 0;
    });
    if (found == values.end()) {
      out += command[at++];
    } else {
      out += quoted(found->second);
      at += found->first.size();
    }
  }
  return out;
}

ServedModel::ServedModel(const ServeOptions& options, const ServedWeights& weights, const fs::path& log)
    : options_(options), log_(log) {
  const int port = free_port();
  const std::string command = fill_serve_command(options.command, weights, port);
  url_ = fmt::format("http://{}:{}", weights.host, port);
  make_folders(log.parent_path());
  info("serving {}: {}", weights.model, command);
  process_ = std::make_unique<BackgroundProcess>(command, log.string());
  await_answer();
}

ServedModel::~ServedModel() {
  process_->stop(options_.stop_s);
}

void ServedModel::await_answer() {
  const auto begin = Clock::now();
  const auto failed = [&](const std::string& why) {
    return Error(Code::network, "the command that serves the weights " + why,
                 tail_of(log_) + "\nsee the log; the same command continues once this is mended",
                 log_.string());
  };
  HttpClient client;
  for (;;) {
    throw_if_stopped();
    if (const auto status = process_->ended())
      throw failed(fmt::format("ended with status {} before it answered", *status));
    HttpRequest request;
    request.method = "GET";
    request.url = url_ + options_.health;
    request.connect_timeout_s = request.total_timeout_s = kAnswerS;
    client.start(request);
    std::vector<HttpResult> results;
    while (results.empty() && !process_->ended()) {
      throw_if_stopped();
      results = client.wait(kPollS);
    }
    const double waited_s = elapsed_s(begin);
    if (!results.empty() && results.front().failure == HttpFailure::none && results.front().status == 200) {
      info("the served model answers after {:.1f} s", waited_s);
      return;
    }
    if (waited_s > options_.timeout_s)
      throw failed(
          fmt::format("did not answer GET {} with 200 within {} s", options_.health, options_.timeout_s));
    client.wait(kPollS);
  }
}

}  // namespace retrace::model
