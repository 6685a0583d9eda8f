// E-mail addresses: each '@' is looked at from both sides, so the cost is linear.
#include <algorithm>
#include <cstring>
#include <string>

#include "synth/input/redact/redact_rules.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

// Country codes and the generic top-level domains that mail addresses in source code are seen with, plus
// those that RFC 2606 reserves. Anything else ("x@self.weight", "icon@2x.png") is no address.
constexpr std::string_view kCountries =
    " ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by "
    "bz "
    "ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj "
    "fk fm "
    "fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir "
    "is it "
    "je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml "
    "mm mn "
    "mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn "
    "pr ps "
    "pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg "
    "th tj "
    "tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw ";
constexpr std::string_view kGeneric =
    " com org net edu gov mil int info biz name pro aero coop museum mobi asia jobs tel travel cat post xxx "
    "arpa "
    "dev app email cloud online site tech xyz club shop blog live me systems solutions software technology "
    "agency "
    "group company digital network world today page ink consulting engineering institute foundation academy "
    "university research science studio design zone space website works host codes support services "
    "example test invalid localhost local localdomain internal lan corp home ";

bool is_local_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::strchr(".!#$%&'*+/=?^_`{|}~-", c) != nullptr;
}
// The bytes that real addresses use; the others of RFC 5322 are operators in source code.
bool is_plain_local_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '+' || c == '-' || c == '%';
}
bool is_domain_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}
bool is_letter_or_digit(char c) {
  return is_domain_byte(c) && c != '.' && c != '-';
}

bool is_known_top_domain(std::string_view label) {
  const std::string word = " " + lower_ascii(label) + " ";
  return kCountries.find(word) != kCountries.npos || kGeneric.find(word) != kGeneric.npos;
}

// End of the longest prefix of [begin, limit) that is a domain name with a known last label; begin if none.
size_t domain_end(std::string_view text, size_t begin) {
  constexpr size_t kMaxDomainBytes = 253;
  size_t limit = begin;
  while (limit < text.size() && limit - begin < kMaxDomainBytes && is_domain_byte(text[limit])) ++limit;
  while (limit > begin && !is_letter_or_digit(text[limit - 1])) --limit;
  const std::string_view domain = text.substr(begin, limit - begin);
  if (domain.empty() || !is_letter_or_digit(domain[0]) || domain.find("..") != domain.npos) return begin;
  const size_t dot = domain.rfind('.');
  if (dot == domain.npos || !is_known_top_domain(domain.substr(dot + 1))) return begin;
  const char after = limit < text.size() ? text[limit] : ' ';
  return after == '(' || after == '_' || after == '@' ? begin : limit;
}

}  // namespace

void find_emails(std::string_view text, std::vector<SecretMatch>* matches) {
  constexpr size_t kMaxLocalBytes = 64;
  for (size_t at = text.find('@'); at != text.npos; at = text.find('@', at + 1)) {
    size_t begin = at;
    while (begin > 0 && at - begin < kMaxLocalBytes && is_plain_local_byte(text[begin - 1])) --begin;
    while (begin < at && (text[begin] == '.' || text[begin] == '-' || text[begin] == '%')) ++begin;
    if (begin == at || text[at - 1] == '.') continue;
    if (begin > 0 && at - begin == kMaxLocalBytes && is_local_byte(text[begin - 1])) continue;
    const size_t end = domain_end(text, at + 1);
    if (end == at + 1) continue;
    // git@host:path is how repositories are named, not how people are.
    if (text.substr(begin, at - begin) == "git" && end < text.size() &&
        (text[end] == ':' || text[end] == '/'))
      continue;
    matches->push_back({begin, end, "email", "<EMAIL>", 90});
  }
}

}  // namespace retrace::synth
