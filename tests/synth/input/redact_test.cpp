// Planted secrets go, ordinary code stays, and redacting twice is redacting once.
#include <catch2/catch_test_macros.hpp>

#include "core/random.h"
#include "synth/input/redact/keywords.h"
#include "synth/input/redact/redact.h"
#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

// Secrets are put together here so that no scanner takes this file for a leak.
std::string noise(size_t length,
                  const char* alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789",
                  uint64_t seed = 7) {
  Random random(seed, 1);
  const std::string letters = alphabet;
  std::string text;
  while (text.size() < length) text += letters[random.below(letters.size())];
  return text;
}
const char* const kUpper = "ABCDEFGHIJKLMNPQRSTUVWXYZ234567";

struct Planted {
  std::string kind, secret, before, after;
};

std::vector<Planted> planted() {
  const std::string body = noise(64) + "\n" + noise(64, kUpper, 8) + "\n" + noise(40) + "\n";
  const std::string begin =
                        "-----BEGIN RSA PRIVATE "
                        "KEY-----\n",
                    end =
                        "-----END RSA PRIVATE "
                        "KEY-----";
  return {
      {"email", "jane.roe+x@mail.example.com", "# by Jane Roe <", ">\n"},
      {"private_key", begin + body + end, "KEY = '''", "'''\n"},
      {"private_key", begin + body, "", "\nnext = 1\n"},
      {"aws_key", "AKIA" + noise(16, kUpper), "id = '", "'\n"},
      {"github_token", "ghp_" + noise(36), "t = '", "'\n"},
      {"github_token",
       "github_"
       "pat_" +
           noise(40),
       "t = '", "'\n"},
      {"gitlab_token", "glpat-" + noise(20), "x: ", "\n"},
      {"slack_token", "xoxb-" + noise(12, "0123456789") + "-" + noise(24), "s = \"", "\"\n"},
      {"google_key", "AIza" + noise(35), "g = '", "'\n"},
      {"stripe_key", "sk_live_" + noise(24), "k = '", "'\n"},
      {"npm_token", "npm_" + noise(36), "//registry/:_authToken=", "\n"},
      {"password", "s3cr3tpw", "url = 'postgres://admin:", "@db.internal/x'\n"},
      {"secret", noise(32), "api_key = \"", "\"\n"},
      {"secret", noise(40), "{\"client_secret\": \"", "\"}\n"},
      {"secret", noise(40), "aws_secret_access_key='", "'\n"},
      {"secret", noise(24), "export SERVICE_TOKEN=", "\n"},
      {"secret", noise(20), "config[\"password\"] = '", "'\n"},
  };
}

}  // namespace

TEST_CASE("planted secrets are replaced, with kind and place", "[unit]") {
  for (const auto& plant : planted()) {
    INFO(plant.kind << " in " << plant.before);
    const std::string text = "first = 1\n" + plant.before + plant.secret + plant.after + "last = 2\n";
    const RedactedText result = redact(text);
    REQUIRE(result.text.find(plant.secret.substr(0, 30)) == std::string::npos);
    REQUIRE(result.spans.size() == 1);
    REQUIRE(result.spans[0].kind == plant.kind);
    const std::string placeholder = plant.kind == "email"         ? "<EMAIL>"
                                    : plant.kind == "private_key" ? "<PRIVATE_KEY>"
                                                                  : "<SECRET>";
    REQUIRE(result.text.substr(result.spans[0].offset, placeholder.size()) == placeholder);
    REQUIRE(result.text.substr(0, 10) == "first = 1\n");
    REQUIRE(result.text.substr(result.text.size() - 9) == "last = 2\n");
    REQUIRE(redact(result.text).text == result.text);
    REQUIRE(redact(result.text).spans.empty());
  }
}

TEST_CASE("ordinary code is left alone", "[unit]") {
  for (const char* code :
       {"y = x@self.weight + z@W.T\n", "@app.route('/x')\n@pytest.mark.skip\n", "<img src='logo@2x.png'>\n",
        "git clone git@github.com:example/thing.git\n", "npm install package@1.2.3 @scope/name@latest\n",
        "token = tokens.pop()\npassword = getpass.getpass()\n", "api_key = \"YOUR_API_KEY_HERE\"\n",
        "secret = 'aaaaaaaaaaaaaaaaaaaaaaaa1'\n",
        "if line == \"-----BEGIN RSA PRIVATE "
        "KEY-----\":\n    return parse_key(line, encoding='ascii')\n",
        "BEGIN = '-----BEGIN PRIVATE "
        "KEY-----'\ndef read_the_whole_file(path):\n    pass\nEND = '-----END PRIVATE "
        "KEY-----'\n",
        "url = 'https://example.com:8080/path'\n", "sha = '2fd4e1c67a2d28fced849ee1bb76e7391b93eb12'\n",
        "key = 'abcdefghijklmnopqrstuvwxyz0123456789'\n", "auth: 'Basic' + base64\n"}) {
    INFO(code);
    REQUIRE(redact(code).text == code);
  }
}

TEST_CASE("redaction is idempotent over random mixtures", "[unit]") {
  std::vector<std::string> pieces = {"@",
                                     "a.b",
                                     ".com",
                                     "<",
                                     ">",
                                     "\"",
                                     "'",
                                     "=",
                                     ":",
                                     "://",
                                     " ",
                                     "\n",
                                     "-----BEGIN ",
                                     "PRIVATE "
                                     "KEY-----",
                                     "-----END ",
                                     "api_key",
                                     "password",
                                     "<SECRET>",
                                     "<EMAIL>",
                                     "user",
                                     "-",
                                     "_",
                                     "+",
                                     "x.org",
                                     noise(20),
                                     noise(64)};
  for (const auto& plant : planted())
    pieces.push_back(plant.before + plant.secret), pieces.push_back(plant.secret);
  Random random(11, 2);
  for (int round = 0; round < 1500; ++round) {
    std::string text;
    for (uint64_t n = random.below(14); n > 0; --n) text += pieces[random.below(pieces.size())];
    INFO(text);
    const RedactedText once = redact(text);
    REQUIRE(redact(once.text).text == once.text);
    size_t at = 0;
    for (const auto& span : once.spans) {
      REQUIRE(span.offset >= at);
      REQUIRE(once.text[span.offset] == '<');
      at = span.offset + 1;
    }
  }
}

TEST_CASE("hostile text costs linear time", "[unit]") {
  std::string at_signs(200000, '@'), locals;
  for (int i = 0; i < 20000; ++i) locals += "a.b-c@d.";
  std::string begins;
  for (int i = 0; i < 2000; ++i)
    begins +=
        "-----BEGIN RSA PRIVATE "
        "KEY-----\n";
  std::string keys;
  for (int i = 0; i < 20000; ++i) keys += "api_key = ";
  for (const auto& text : {at_signs, locals, begins, keys}) REQUIRE(redact(text).text.size() <= text.size());
}

TEST_CASE("the snapshot holds the redacted text and says where", "[unit]") {
  TempFolder folder;
  put(folder / "a.py", "AUTHOR = 'jane@example.com'\nX = '<|eot_id|>'\n");
  const Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(snapshot.files[0].content == "AUTHOR = '<EMAIL>'\nX = '<|eot_id|>'\n");
  REQUIRE(snapshot.redactions.size() == 1);
  REQUIRE(snapshot.redactions[0].path == "a.py");
  REQUIRE(snapshot.redactions[0].kind == "email");
  REQUIRE(snapshot.redactions[0].offset == 10);
}

TEST_CASE("the keyword scanner finds overlapping words of every group", "[unit]") {
  KeywordScanner scanner;
  scanner.add("he", 0);
  scanner.add("she", 1);
  scanner.add("hers", 2);
  scanner.add("his", 3);
  scanner.build();
  REQUIRE(scanner.scan("uSHErs") == 0b0111);
  REQUIRE(scanner.scan("this") == 0b1000);
  REQUIRE(scanner.scan("ab") == 0);
}
