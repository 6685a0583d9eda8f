#include "tests/e2e/support.h"

#include <fmt/core.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>

namespace retrace::e2e {

ProcessResult retrace(const std::vector<std::string>& arguments, double timeout_s) {
  std::vector<std::string> argv = {RETRACE_BINARY};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  ProcessOptions options;
  options.timeout_s = timeout_s;
  return run_process(argv, options);
}

fs::path make_repositories(const fs::path& folder, int count) {
  static const char* const kTopics[] = {"queue",  "matrix", "parser", "ledger",
                                        "router", "cache",  "vector", "signal"};
  static const char* const kActs[] = {"insert",  "remove",  "merge",  "split",
                                      "measure", "compare", "render", "collect"};
  const fs::path repos = folder / "repos";
  for (int r = 0; r < count; ++r) {
    const std::string topic = kTopics[r % 8], name = fmt::format("{}kit{}", topic, r);
    const fs::path root = repos / name;
    write_text(
        root / "LICENSE",
        "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n");
    write_text(root / "README.md",
               fmt::format("# {}\n\nTools for a {} with {} fields.\n", name, topic, r + 2));
    write_text(root / name / "__init__.py",
               fmt::format("\"\"\"Public names of {}.\"\"\"\n\nfrom .core import {}Table\n", name, topic));
    std::string util = fmt::format("\"\"\"Helpers that every part of {} uses.\"\"\"\n", name);
    std::string core = fmt::format(
        "\"\"\"The {} table.\"\"\"\n\nfrom . import util\n\n\nclass {}Table:\n    \"\"\"Keeps {} "
        "rows.\"\"\"\n\n",
        topic, topic, topic);
    for (int f = 0; f < 5; ++f) {
      const std::string act = kActs[(r * 3 + f) % 8];
      util += fmt::format(
          "\n\ndef {}_{}(items, limit={}):\n    \"\"\"Return what {} leaves of items.\"\"\"\n    result = "
          "[]\n"
          "    for index, item in enumerate(items):\n        if index < limit:\n            "
          "result.append(item + {})\n"
          "    return result\n",
          act, topic, r * 7 + f, act, f + r);
      core += fmt::format(
          "    def {}(self, rows):\n        \"\"\"{} rows of the {}.\"\"\"\n        rows = util.{}_{}(rows)\n"
          "        self.{}_count = len(rows) + {}\n        return rows\n\n",
          act, act, topic, act, topic, act, r + f);
    }
    write_text(root / name / "util.py", util);
    write_text(root / name / "core.py", core);
    write_text(root / "tests" / "test_core.py",
               fmt::format("from {} import {}Table\n\n\ndef test_table():\n    table = {}Table()\n    assert "
                           "table is not None\n",
                           name, topic, topic));
  }
  return repos;
}

std::string micro_recipe() {
  return RETRACE_SOURCE_DIR "/tests/e2e/micro.toml";
}

std::string file_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace retrace::e2e
