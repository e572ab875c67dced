# tidy: clang-tidy on every C file of ours. cppcheck: likewise, cppcheck. format-check: clang-format would change nothing.
# format: lets it.
# A tool that is missing makes its target fail with a message, not the configuration.
file(GLOB_RECURSE our_sources CONFIGURE_DEPENDS host/*.c host/*.h bench/*.c bench/*.h tests/*.c tests/*.h
     tuner/*.c tuner/*.h)
set(our_c_files ${our_sources})
list(FILTER our_c_files INCLUDE REGEX "\\.c$")
list(FILTER our_c_files EXCLUDE REGEX "tests/(fuzz|package|support/probe)/") # not in compile_commands.json

find_program(CLANG_TIDY NAMES clang-tidy)
find_program(CPPCHECK NAMES cppcheck)
find_program(XARGS NAMES xargs)
find_program(CLANG_FORMAT NAMES clang-format)

function(lint_target name tool)
  if(tool)
    add_custom_target(${name} COMMAND ${tool} ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
  else()
    add_custom_target(${name} COMMAND ${CMAKE_COMMAND} -E echo "${name}: its tool is not installed"
                      COMMAND ${CMAKE_COMMAND} -E false)
  endif()
endfunction()

# The analyzer's shallow mode: its deep one takes ten times as long on a few files (all were clean in it, 2026-11). xargs starts
# processes of few files each, and fails if one of them does.
cmake_host_system_information(RESULT processors QUERY NUMBER_OF_LOGICAL_CORES)
string(REPLACE ";" "\n" tidy_list "${our_c_files}")
file(WRITE ${PROJECT_BINARY_DIR}/tidy_files.txt "${tidy_list}\n")
if(CLANG_TIDY AND XARGS)
  lint_target(tidy "${XARGS}" -a ${PROJECT_BINARY_DIR}/tidy_files.txt -P ${processors} -n 6
              ${CLANG_TIDY} -p ${PROJECT_BINARY_DIR} --quiet --warnings-as-errors=*
              --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=mode=shallow)
else()
  lint_target(tidy "")
endif()
# cppcheck's unusedFunction is not among these: the library's callers are elsewhere.
lint_target(cppcheck "${CPPCHECK}" --project=${PROJECT_BINARY_DIR}/compile_commands.json -j ${processors} --quiet
            --enable=warning,performance,portability --include=${PROJECT_SOURCE_DIR}/cmake/cppcheck_macros.h --inline-suppr --error-exitcode=1
            --suppressions-list=${PROJECT_SOURCE_DIR}/cmake/cppcheck.supp
            -i${PROJECT_BINARY_DIR} --suppress=*:${PROJECT_BINARY_DIR}/*)
lint_target(format-check "${CLANG_FORMAT}" --dry-run --Werror ${our_sources})
lint_target(format "${CLANG_FORMAT}" -i ${our_sources})
