# Fuzz targets (tests/fuzz). In the ordinary build each is driven by our own deterministic mutations and is a test; with
# RETRACE_FUZZ (preset `fuzz`, clang) libFuzzer drives them, with sanitizers in all that they call. `scripts/fuzz` builds
# and runs those for a minute each under `scripts/test --slow`.
set(fuzz_targets answer archive git json)
if(RETRACE_FUZZ)
  # Recipes and the command line take no part, and clang 14 does not compile them.
  file(GLOB_RECURSE fuzz_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/synth/input/*.cpp ${PROJECT_SOURCE_DIR}/core/*.cpp)
  list(FILTER fuzz_sources EXCLUDE REGEX
    "/core/(cli|recipe|metrics|sandbox)/|/core/(ranks/run_lock|process/launcher|failpoint)|/core/files/sqlite")
  list(APPEND fuzz_sources data/packing/text_stream.cpp synth/paths.cpp synth/generate/answer.cpp synth/record/prose.cpp
    model/endpoint/http_rules.cpp model/endpoint/logprob_answer.cpp)
  add_library(fuzz_input STATIC ${fuzz_sources})
  target_include_directories(fuzz_input PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(fuzz_input PUBLIC
    third::json third::fmt third::crypto third::xxhash third::archive third::git2 third::utf8proc third::pcre2 third::zstd
    ZLIB::ZLIB Threads::Threads)
  foreach(target ${fuzz_targets})
    add_executable(fuzz_${target} tests/fuzz/${target}.cpp tests/fuzz/scratch.cpp)
    target_link_libraries(fuzz_${target} PRIVATE fuzz_input)
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
  endforeach()
elseif(RETRACE_TESTS)
  foreach(target ${fuzz_targets})
    add_executable(fuzz_${target} tests/fuzz/${target}.cpp tests/fuzz/scratch.cpp tests/fuzz/driver.cpp)
    target_link_libraries(fuzz_${target} PRIVATE retrace_synth retrace_flags)
    add_test(NAME "fuzz: ${target}" COMMAND fuzz_${target} 3000)
    set_tests_properties("fuzz: ${target}" PROPERTIES LABELS unit TIMEOUT 300)
    add_test(NAME "fuzz: ${target}, a minute with sanitizers" COMMAND ${PROJECT_SOURCE_DIR}/scripts/fuzz ${target} 60)
    set_tests_properties("fuzz: ${target}, a minute with sanitizers" PROPERTIES LABELS slow TIMEOUT 2400
      SKIP_RETURN_CODE 77 RESOURCE_LOCK fuzz_build)
  endforeach()
endif()
