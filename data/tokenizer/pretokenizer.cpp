#include "data/tokenizer/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/error.h"
#include "data/tokenizer/ascii_scan.h"
#include "data/utf8.h"

namespace retrace::data {

const char* const kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char* const kEachDigitPattern = R"(\p{N})";
const char* const kDigitRunPattern = R"(\p{N}+)";

namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// A thread's match state: a JIT stack that grows to what megabytes of blanks need, and one match block.
struct ThreadState {
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
  pcre2_match_data* match;
  ThreadState()
      : context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(64 << 10, 64 << 20, nullptr)),
        match(pcre2_match_data_create(1, nullptr)) {
    ensure(context && stack && match, "PCRE2 can allocate its match state");
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_match_limit(context, UINT32_MAX);
    pcre2_set_depth_limit(context, UINT32_MAX);
    pcre2_set_heap_limit(context, UINT32_MAX);
  }
  ~ThreadState() {
    pcre2_match_data_free(match);
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
  }
};

ThreadState& thread_state() {
  thread_local ThreadState state;
  return state;
}

}  // namespace

class PreTokenizer::Regex {
 public:
  explicit Regex(const std::string& pattern) : scan_(ascii_scan_of(pattern)) {
    const std::string translated = to_pcre2(pattern);
    int code = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE, &code, &offset, nullptr);
    if (!code_)
      throw Error(Code::input, fmt::format("bad pre-tokenizer pattern: {}", pcre2_message(code)), "",
                  "pattern " + pattern);
    // Without a JIT for this processor the same matches come from the interpreter.
    jit_ = pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE) == 0;
  }
  ~Regex() { pcre2_code_free(code_); }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // The next match in valid UTF-8 from `from` on, as [begin, end); false if there is none.
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
    if (scan_) {
      begin = from;
      end = scan_(text, from);
      if (end > 0) return true;
    }
    ThreadState& state = thread_state();
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found = jit_ ? pcre2_jit_match(code_, subject, text.size(), from, 0, state.match, state.context)
                     : PCRE2_ERROR_JIT_STACKLIMIT;
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
      found = pcre2_match(code_, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.match,
                          state.context);
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) fail(Code::internal, "pre-tokenizer match failed: {}", pcre2_message(found));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state.match);
    begin = ends[0];
    end = ends[1];
    return true;
  }

 private:
  AsciiScan scan_;
  pcre2_code* code_ = nullptr;
  bool jit_ = false;
};

PreTokenizer::PreTokenizer(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {
  for (const std::string& pattern : patterns_) regexes_.push_back(std::make_unique<Regex>(pattern));
}

PreTokenizer::~PreTokenizer() = default;

void PreTokenizer::split(std::string_view bytes, PieceSink& sink) const {
  while (!bytes.empty()) {
    const size_t valid = valid_utf8_prefix(bytes);
    if (valid > 0) split_valid(0, bytes.substr(0, valid), sink);
    bytes.remove_prefix(valid);
    const size_t invalid = invalid_utf8_prefix(bytes);
    if (invalid > 0) sink.piece(bytes.substr(0, invalid));
    bytes.remove_prefix(invalid);
  }
}

void PreTokenizer::split_valid(size_t step, std::string_view text, PieceSink& sink) const {
  if (step == regexes_.size()) {
    sink.piece(text);
    return;
  }
  const Regex& regex = *regexes_[step];
  const bool last = step + 1 == regexes_.size();
  auto emit = [&](size_t begin, size_t end) {
    if (begin == end) return;
    const std::string_view piece = text.substr(begin, end - begin);
    if (last) {
      sink.piece(piece);
    } else {
      split_valid(step + 1, piece, sink);
    }
  };
  size_t done = 0, from = 0, begin = 0, end = 0;
  while (from < text.size() && regex.find(text, from, begin, end)) {
    if (begin == end) {  // an empty match cuts nothing
      if (begin >= text.size()) break;
      from = begin + first_code_point(text.substr(begin)).size_bytes;
      continue;
    }
    emit(done, begin);
    emit(begin, end);
    done = from = end;
  }
  emit(done, text.size());
}

}  // namespace retrace::data
