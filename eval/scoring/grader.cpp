#include "eval/scoring/grader.h"

#include <sys/random.h>
#include <unistd.h>

#include "core/error.h"
#include "core/text.h"

namespace retrace::eval {
namespace {

// A secret of this run of the harness: the verdict must carry it, and only the harness gets it.
std::string make_nonce() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) fail(Code::internal, "no random bytes for a nonce");
  std::string out;
  for (const auto byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

Fd duplicate(const Fd& fd) {
  Fd copy(dup(fd.get()));
  if (copy.get() < 0) fail(Code::io, "cannot duplicate a descriptor");
  return copy;
}

Program python(const Sandbox& sandbox, const char* program) {
  Program out;
  out.argv = {sandbox.config().python, "-s", "-B", "-c", std::string(kValueCodec) + program};
  return out;
}

Verdict failed(const std::string& reason) {
  return {false, true, "failed: " + reason};
}

}  // namespace

Verdict grade(const Sandbox& sandbox, const FunctionProblem& problem) {
  const std::string nonce = make_nonce();
  Program harness = python(sandbox, kHarnessProgram), worker = python(sandbox, kWorkerProgram);
  auto [verdict_read, verdict_write] = make_pipe();
  auto [harness_end, worker_end] = make_socket_pair();
  harness.descriptors.emplace_back(memory_file(to_text({{"nonce", nonce},
                                                        {"prompt", problem.prompt},
                                                        {"completion", problem.completion},
                                                        {"test", problem.test},
                                                        {"entry", problem.entry_point}})),
                                   3);
  harness.descriptors.emplace_back(std::move(verdict_write), 4);
  harness.descriptors.emplace_back(duplicate(harness_end), 5);
  harness.descriptors.emplace_back(std::move(harness_end), 6);
  worker.descriptors.emplace_back(duplicate(worker_end), 3);
  worker.descriptors.emplace_back(std::move(worker_end), 4);
  std::vector<Program> programs;
  programs.push_back(std::move(harness));
  programs.push_back(std::move(worker));
  const Outcome outcome = sandbox.run(std::move(programs), verdict_read);

  // The harness says "started" once the worker has said hello, then one verdict. Lines without the nonce are
  // ignored.
  bool started = false;
  std::string said, text;
  for (const auto line : split_lines(outcome.message)) try {
      const Json message = parse_json(line, "verdict");
      if (get<std::string>(message, "nonce", "verdict") != nonce) continue;
      said = get<std::string>(message, "verdict", "verdict");
      text = get<std::string>(message, "text", "verdict");
      started = started || said == "started";
    } catch (const Error&) {
      continue;
    }
  if (!started) {
    const ProgramEnd& end = outcome.ends[said == "no worker" ? 1 : 0];
    return {false, false,
            fmt::format("no verdict: {} (exit status {})",
                        outcome.timed_out ? "the programs did not start in time"
                                          : shorten(utf8_lossy(trim(end.output)), 300),
                        end.exit_status)};
  }
  if (outcome.timed_out) return {false, true, "timed out"};
  for (const auto& end : outcome.ends)
    if (end.output_cut) return failed("too much output");
  if (said == "passed") return {true, true, "passed"};
  return failed(said == "failed" ? text : "the check ended without a verdict");
}

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  ensure(0 <= c && c <= n && 1 <= k && k <= n, "pass@k of 1 <= k <= n samples");
  if (n - c < k) return 1;
  double fails = 1;
  for (int64_t i = n - c + 1; i <= n; ++i) fails *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - fails;
}

}  // namespace retrace::eval
