// Which files travel with a tokenizer.
#include "data/tokenizer/tokenizer_files.h"

#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "tests/shared.h"

using namespace retrace;
using namespace retrace::data;
using retrace::tests::TempFolder;

TEST_CASE("tokenizer files: those that are there are copied, the chat's only where all are asked for",
          "[unit]") {
  const TempFolder temp;
  for (const char* name : {"tokenizer.json", "special_tokens_map.json", "chat_template.jinja",
                           "generation_config.json", "config.json", "model.safetensors"})
    write_file(temp / "from" / name, name);
  make_folders(temp / "from" / "tokenizer.model");  // a folder is no file of a tokenizer
  using Names = std::vector<std::string>;
  copy_tokenizer_files(temp / "from", temp / "core", TokenizerFiles::core,
                       {"generation_config.json", "absent.json"});
  REQUIRE(list_folder(temp / "core") ==
          Names{"generation_config.json", "special_tokens_map.json", "tokenizer.json"});
  REQUIRE(read_file(temp / "core" / "tokenizer.json") == "tokenizer.json");
  copy_tokenizer_files(temp / "from", temp / "all", TokenizerFiles::all);
  REQUIRE(list_folder(temp / "all") ==
          Names{"chat_template.jinja", "special_tokens_map.json", "tokenizer.json"});
  REQUIRE(has_tokenizer(temp / "core"));
  REQUIRE_FALSE(has_tokenizer(temp.path()));
}
