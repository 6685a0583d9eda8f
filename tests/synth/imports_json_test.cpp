// The structure as JSON; with RETRACE_STRUCTURE_OF=FOLDER in the environment that folder's, for peer tests.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>

#include "synth/structure_json.h"
#include "tests/synth/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

TEST_CASE("structure as JSON", "[unit]") {
  Snapshot snapshot = snapshot_of({{"a.py", "from b import x\n"}, {"b.py", "import a\n"}});
  snapshot.dropped = {{"c.bin", "binary"}, {"d.bin", "binary"}};
  const Json json = structure_json(snapshot, analyse(snapshot));
  REQUIRE(json["files"].size() == 2);
  REQUIRE(json["files"][0]["path"] == "a.py");
  REQUIRE(json["edges"][0] == Json({{"from", "a.py"},
                                    {"to", "b.py"},
                                    {"hard", true},
                                    {"broken", true},
                                    {"line", 1},
                                    {"names", {"x"}}}));
  REQUIRE(json["dropped"]["binary"] == 2);
  const char* folder = std::getenv("RETRACE_STRUCTURE_OF");
  const char* out = std::getenv("RETRACE_STRUCTURE_OUT");
  if (folder == nullptr || out == nullptr) return;
  const Snapshot asked = take_snapshot(folder, {});
  std::ofstream(out) << to_text(structure_json(asked, analyse(asked))) << "\n";
}
