#include "synth/skeleton/cuts.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "core/text.h"

namespace retrace::synth {

namespace {

constexpr uint64_t kWholeFileBytes = 4096;  // shorter dependencies are shown whole

uint64_t line_start(std::string_view text, uint64_t at) {
  if (at == 0) return 0;
  const size_t newline = text.rfind('\n', at - 1);
  return newline == std::string_view::npos ? 0 : newline + 1;
}

uint64_t line_end(std::string_view text, uint64_t at) {
  if (at > 0 && text[at - 1] == '\n') return at;
  const size_t newline = text.find('\n', at);
  return newline == std::string_view::npos ? text.size() : newline + 1;
}

// The last place at or before `at` that is no continuation byte.
uint64_t code_point_start(std::string_view text, uint64_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80) --at;
  return at;
}

// Up to `budget` bytes of whole lines from the front; whole code points if the first line is longer.
uint64_t head_bytes(std::string_view text, uint64_t budget) {
  if (text.size() <= budget) return text.size();
  const uint64_t start = line_start(text, budget + 1 <= text.size() ? budget + 1 : budget);
  return start > 0 && start <= budget ? start : code_point_start(text, budget);
}

constexpr std::array<bool, 256> kIdentifierBytes = [] {
  std::array<bool, 256> out{};
  for (int c = 0; c < 128; ++c)
    out[static_cast<size_t>(c)] =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  return out;
}();

bool is_identifier_char(char c) {
  return kIdentifierBytes[static_cast<unsigned char>(c)];
}

std::string_view last_name(std::string_view qualified) {
  const size_t at = qualified.find_last_of(".:");
  return at == std::string_view::npos ? qualified : qualified.substr(at + 1);
}

std::string_view first_name(std::string_view qualified) {
  return qualified.substr(0, qualified.find_first_of(".:"));
}

}  // namespace

std::vector<ByteRange> write_pieces(const SourceFile& file, const FileStructure& structure,
                                    uint64_t chunk_bytes) {
  const std::string_view text = file.content;
  std::vector<uint64_t> starts;
  uint64_t covered = 0;
  for (const Symbol& symbol : structure.symbols) {
    if (symbol.begin < covered || symbol.end > text.size()) continue;
    starts.push_back(line_start(text, symbol.begin));
    covered = symbol.end;
  }
  std::vector<ByteRange> out;
  uint64_t begin = 0;
  while (text.size() - begin > chunk_bytes) {
    const uint64_t limit = begin + chunk_bytes;
    const auto after = std::upper_bound(starts.begin(), starts.end(), limit);
    uint64_t end = after == starts.begin() ? 0 : *(after - 1);
    if (end <= begin + chunk_bytes / 2) end = line_start(text, limit);
    if (end <= begin) end = code_point_start(text, limit);
    if (end <= begin) end = limit;
    out.emplace_back(begin, end);
    begin = end;
  }
  out.emplace_back(begin, text.size());
  return out;
}

std::vector<std::string_view> identifiers_of(std::string_view text) {
  std::vector<std::string_view> out;
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < text.size();) {
    if (!is_identifier_char(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && is_identifier_char(text[end])) ++end;
    const std::string_view word = text.substr(i, end - i);
    if ((word[0] < '0' || word[0] > '9') && seen.insert(word).second) out.push_back(word);
    i = end;
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool KnownNames::has(std::string_view name) const {
  return std::binary_search(own.begin(), own.end(), name) ||
         std::find(imported.begin(), imported.end(), name) != imported.end();
}

std::vector<ByteRange> read_ranges(const SourceFile& file, const FileStructure& structure,
                                   const KnownNames& names, uint64_t budget_bytes, bool* cut) {
  const std::string_view text = file.content;
  *cut = false;
  if (text.empty()) return {};
  if (text.size() <= std::min(budget_bytes, kWholeFileBytes)) return {{0, text.size()}};
  *cut = true;
  std::vector<ByteRange> out;
  uint64_t left = budget_bytes;
  for (const Symbol& symbol : structure.symbols) {
    if (symbol.begin >= symbol.end || symbol.end > text.size()) continue;
    if (!names.has(last_name(symbol.name)) || !names.has(first_name(symbol.name))) continue;
    uint64_t begin = line_start(text, symbol.begin), end = line_end(text, symbol.end);
    if (!out.empty() && end <= out.back().second) continue;
    if (!out.empty()) begin = std::max(begin, out.back().second);
    if (end - begin > left) end = begin + head_bytes(text.substr(begin, end - begin), left);
    if (end <= begin) break;
    left -= end - begin;
    if (!out.empty() && out.back().second == begin)
      out.back().second = end;
    else
      out.emplace_back(begin, end);
  }
  if (out.empty()) {
    const uint64_t end = head_bytes(text, std::min(budget_bytes, kWholeFileBytes));
    if (end > 0) out.emplace_back(0, end);
  }
  if (out.size() == 1 && out[0].first == 0 && out[0].second == text.size()) *cut = false;
  return out;
}

}  // namespace retrace::synth
