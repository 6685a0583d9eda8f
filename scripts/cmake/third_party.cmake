# What others wrote: Debian's libraries, libtorch from its wheel, tree-sitter from source. scripts/setup installs all of it.
find_package(PkgConfig REQUIRED)
find_package(ZLIB REQUIRED)

if(DEFINED ENV{RETRACE_DEPS})
  set(RETRACE_DEPS "$ENV{RETRACE_DEPS}" CACHE PATH "where scripts/setup put torch and tree-sitter")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(RETRACE_DEPS "$ENV{XDG_CACHE_HOME}/retrace" CACHE PATH "where scripts/setup put torch and tree-sitter")
else()
  set(RETRACE_DEPS "$ENV{HOME}/.cache/retrace" CACHE PATH "where scripts/setup put torch and tree-sitter")
endif()

function(third_pkg name module)
  pkg_check_modules(pkg_${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(third::${name} ALIAS PkgConfig::pkg_${name})
endfunction()
function(third_header_only name)
  add_library(third_${name} INTERFACE)
  add_library(third::${name} ALIAS third_${name})
endfunction()

# nlohmann/json.hpp without its two literal operators (""_json), which nobody here uses: being inline functions they make
# every file that includes the header compile a JSON parser, 0.35 s each (an empty file behind a precompiled json.hpp
# compiles in 0.15 instead of 0.49 s).
third_header_only(json)
find_file(json_header nlohmann/json.hpp REQUIRED)
file(READ ${json_header} json_text)
string(REGEX REPLACE "JSON_HEDLEY_NON_NULL\\(1\\)\ninline nlohmann::json operator \"\" _json.*(}  // namespace json_literals)" "\\1"
  json_text "${json_text}")
string(REGEX REPLACE "using nlohmann::literals::json_literals::operator \"\" _json(_pointer)?;" "" json_text "${json_text}")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/third_party/nlohmann/json.hpp CONTENT "${json_text}" @ONLY)
target_include_directories(third_json SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/third_party)
third_header_only(toml)   # toml++/toml.h
third_pkg(crypto libcrypto)
third_pkg(xxhash libxxhash)
third_pkg(pcre2 libpcre2-8)
third_pkg(utf8proc libutf8proc)
third_pkg(sentencepiece sentencepiece)
third_pkg(zstd libzstd)
if(RETRACE_BUNDLE)
  # Debian's shared libarchive asks for glibc 2.36 and brings ICU; of the static one only the formats that are read
  # are linked.
  add_library(third_archive INTERFACE)
  add_library(third::archive ALIAS third_archive)
  target_link_libraries(third_archive INTERFACE libarchive.a -l:libnettle.so.8 -l:liblzma.so.5 zstd
    -l:libbz2.so.1.0 z)
else()
  third_pkg(archive libarchive)
endif()
third_pkg(git2 libgit2)
third_pkg(sqlite sqlite3)
third_pkg(seccomp libseccomp)
third_pkg(curl libcurl)
find_package(fmt REQUIRED)
add_library(third::fmt ALIAS fmt::fmt)
find_package(Threads REQUIRED)

# libtorch: the CPU libraries of the wheel. Torch's own cmake package would ask for a CUDA toolkit.
file(GLOB torch_site "${RETRACE_DEPS}/torch-2.11.0/lib/python3*/site-packages/torch")
if(NOT torch_site)
  message(FATAL_ERROR "libtorch 2.11.0 is not in ${RETRACE_DEPS}; run scripts/setup first")
endif()
set(RETRACE_TORCH_ROOT ${torch_site})
add_library(torch_cpu_imported INTERFACE)
add_library(torch::cpu ALIAS torch_cpu_imported)
# The wheel brings its own fmt headers: the system's must be found first, or files that include both break.
file(MAKE_DIRECTORY ${RETRACE_DEPS}/fmt-first)
file(CREATE_LINK /usr/include/fmt ${RETRACE_DEPS}/fmt-first/fmt SYMBOLIC)
target_include_directories(torch_cpu_imported SYSTEM INTERFACE
  ${RETRACE_DEPS}/fmt-first ${torch_site}/include ${torch_site}/include/torch/csrc/api/include)
target_compile_definitions(torch_cpu_imported INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
if(NOT RETRACE_BUNDLE)
  target_link_options(torch_cpu_imported INTERFACE -Wl,-rpath,${torch_site}/lib)
endif()
target_link_libraries(torch_cpu_imported INTERFACE
  ${torch_site}/lib/libtorch_cpu.so ${torch_site}/lib/libc10.so)
# gloo's headers come from Debian as declarations only; its symbols are inside libtorch_cpu.
third_header_only(gloo_headers)

# tree-sitter: the core and the nine grammars of eight languages, as C11 without our warnings.
set(ts_core ${RETRACE_DEPS}/tree_sitter-0.26.1/tree_sitter/core/lib)
set(ts_pack ${RETRACE_DEPS}/tree_sitter_language_pack-0.13.0/parsers)
set(ts_sources ${ts_core}/src/lib.c)
foreach(grammar python javascript typescript tsx go java c cpp rust)
  file(GLOB found ${ts_pack}/${grammar}/src/parser.c ${ts_pack}/${grammar}/src/scanner.c)
  list(APPEND ts_sources ${found})
endforeach()
add_library(tree_sitter STATIC ${ts_sources})
add_library(third::tree_sitter ALIAS tree_sitter)
set_target_properties(tree_sitter PROPERTIES C_STANDARD 11 POSITION_INDEPENDENT_CODE ON)
target_compile_definitions(tree_sitter PRIVATE _DEFAULT_SOURCE)
target_compile_options(tree_sitter PRIVATE -w -O2)
target_include_directories(tree_sitter SYSTEM PUBLIC ${ts_core}/include PRIVATE ${ts_core}/src ${ts_pack}/typescript/src)
