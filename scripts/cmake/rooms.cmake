# retrace_room(name LINK targets... PCH plain|torch [PLAIN regex]): the folder `name` and its sub-rooms as the static library
# retrace_name. PCH names the precompiled header (scripts/cmake/pch_*.h) that its sources begin with; those whose path
# matches PLAIN see no torch and begin with the smaller one (reading it takes 0.15 s instead of 1 s a file). The first
# target that asks for a precompiled header builds it, later ones share it.
add_library(retrace_flags INTERFACE)
# -Wno-psabi: notes about the ABI of vector types, which never cross a library's border here.
target_compile_options(retrace_flags INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror -Wno-psabi)
if(RETRACE_SANITIZE)
  add_compile_options(-fsanitize=${RETRACE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RETRACE_SANITIZE})
endif()
if(RETRACE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
option(RETRACE_PCH "precompiled headers" ON)
if(RETRACE_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # so that ccache sees through precompiled headers
  # Once libstdc++ comes from a precompiled header, GCC 12.2 reports these inside its std::string, falsely and in files that
  # compile without a word otherwise. A build with -DRETRACE_PCH=OFF keeps them.
  target_compile_options(retrace_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds -Wno-stringop-overflow
    -Wno-stringop-overread -Wno-restrict>)
endif()

# retrace_pch(target kind)
function(retrace_pch target kind)
  if(NOT RETRACE_PCH)
    return()
  endif()
  get_property(owner GLOBAL PROPERTY RETRACE_PCH_${kind})
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/scripts/cmake/pch_${kind}.h)
    set_property(GLOBAL PROPERTY RETRACE_PCH_${kind} ${target})
  endif()
endfunction()

function(retrace_room name)
  cmake_parse_arguments(ROOM "" "PCH;PLAIN" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "${PROJECT_SOURCE_DIR}/model/cuda/")
  add_library(retrace_${name} STATIC)
  target_link_libraries(retrace_${name} PUBLIC ${ROOM_LINK} PRIVATE retrace_flags Threads::Threads)
  target_include_directories(retrace_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  if(ROOM_PLAIN)
    set(plain ${sources})
    list(FILTER plain INCLUDE REGEX "${ROOM_PLAIN}")
    list(FILTER sources EXCLUDE REGEX "${ROOM_PLAIN}")
    add_library(retrace_${name}_plain OBJECT ${plain})
    target_link_libraries(retrace_${name}_plain PUBLIC ${ROOM_LINK} PRIVATE retrace_flags Threads::Threads)
    target_include_directories(retrace_${name}_plain PUBLIC ${PROJECT_SOURCE_DIR})
    retrace_pch(retrace_${name}_plain plain)
    target_sources(retrace_${name} PRIVATE $<TARGET_OBJECTS:retrace_${name}_plain>)
  endif()
  target_sources(retrace_${name} PRIVATE ${sources})
  retrace_pch(retrace_${name} ${ROOM_PCH})
endfunction()
