# tests/ROOM/**.cpp make one test program a room; the tags [slow] and [gpu] become CTest labels. tests/peers/*.py are
# comparisons with Python references (label peers), run by the environment that scripts/setup --peers makes.
find_package(Catch2 3.7 REQUIRED)
include(Catch)

add_library(tests_shared STATIC ${PROJECT_SOURCE_DIR}/tests/shared/http_server.cpp)
target_link_libraries(tests_shared PUBLIC retrace_core PRIVATE retrace_flags Threads::Threads)

function(retrace_tests name pch)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(tests_${name} ${sources})
  target_compile_options(tests_${name} PRIVATE -O1)  # the tests themselves: less time to compile
  target_link_libraries(tests_${name} PRIVATE ${ARGN} tests_shared retrace_flags Catch2::Catch2WithMain Threads::Threads)
  target_include_directories(tests_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(tests_${name} PRIVATE
    RETRACE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" RETRACE_BINARY="$<TARGET_FILE:retrace>")
  retrace_pch(tests_${name} ${pch})
  # Debian's Catch2 does not hand tags to CTest, so that each label is discovered by itself.
  set(common TEST_PREFIX "${name}: " DISCOVERY_MODE PRE_TEST)
  catch_discover_tests(tests_${name} TEST_SPEC "~[slow]~[gpu]" ${common} TEST_LIST tests_${name}_ordinary
    PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 4)
  foreach(label slow gpu)
    catch_discover_tests(tests_${name} TEST_SPEC "[${label}]" ${common} TEST_LIST tests_${name}_${label}
      PROPERTIES TIMEOUT 3600 SKIP_RETURN_CODE 4 LABELS ${label})
  endforeach()
endfunction()

retrace_tests(core plain retrace_core)
retrace_tests(data plain retrace_data)
retrace_tests(model torch retrace_model)
retrace_tests(synth plain retrace_synth)
retrace_tests(train torch retrace_train)
retrace_tests(eval plain retrace_eval)
retrace_tests(loop plain retrace_loop)
retrace_tests(e2e plain retrace_core retrace_data)
if(TARGET tests_e2e)
  add_dependencies(tests_e2e retrace)
endif()
if(TARGET tests_train)
  add_dependencies(tests_train retrace)
endif()

add_test(NAME "layers: planted violations are refused"
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/check_layers.py)
set_tests_properties("layers: planted violations are refused" PROPERTIES LABELS unit TIMEOUT 120)

file(GLOB peers_python "${RETRACE_DEPS}/peers-*/bin/python3")
file(GLOB peer_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/peers/test_*.py)
list(FILTER peer_tests EXCLUDE REGEX "test_llm_servers")
# Real LLM servers, in environments of their own: part of scripts/test --slow.
add_test(NAME "slow: llm_servers"
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/peers/test_llm_servers.py $<TARGET_FILE:retrace>)
set_tests_properties("slow: llm_servers" PROPERTIES LABELS slow TIMEOUT 3600 SKIP_RETURN_CODE 77
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
foreach(script ${peer_tests})
  get_filename_component(peer ${script} NAME_WE)
  string(REPLACE "test_" "" peer ${peer})
  add_test(NAME "peers: ${peer}" COMMAND ${PROJECT_SOURCE_DIR}/scripts/peer-python ${script} $<TARGET_FILE:retrace>)
  set_tests_properties("peers: ${peer}" PROPERTIES LABELS peers TIMEOUT 1200 SKIP_RETURN_CODE 77
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endforeach()
# Comparisons that take longer than a minute: tests/peers/slow_*.py, part of scripts/test --slow.
file(GLOB slow_peer_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/peers/slow_*.py)
foreach(script ${slow_peer_tests})
  get_filename_component(peer ${script} NAME_WE)
  string(REPLACE "slow_" "" peer ${peer})
  add_test(NAME "slow: ${peer}" COMMAND ${PROJECT_SOURCE_DIR}/scripts/peer-python ${script} $<TARGET_FILE:retrace>)
  set_tests_properties("slow: ${peer}" PROPERTIES LABELS slow TIMEOUT 3600 SKIP_RETURN_CODE 77
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endforeach()
