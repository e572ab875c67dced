# tidy: clang-tidy on every C file of ours. format-check: clang-format would change nothing. format: lets it.
# A tool that is missing makes its target fail with a message, not the configuration.
file(GLOB_RECURSE our_sources CONFIGURE_DEPENDS host/*.c host/*.h bench/*.c bench/*.h tests/*.c tests/*.h
     tuner/*.c tuner/*.h)
set(our_c_files ${our_sources})
list(FILTER our_c_files INCLUDE REGEX "\\.c$")
list(FILTER our_c_files EXCLUDE REGEX "tests/(fuzz|package|support/probe)/") # not in compile_commands.json

find_program(CLANG_TIDY NAMES clang-tidy)
find_program(CLANG_FORMAT NAMES clang-format)

function(lint_target name tool)
  if(tool)
    add_custom_target(${name} COMMAND ${tool} ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
  else()
    add_custom_target(${name} COMMAND ${CMAKE_COMMAND} -E echo "${name}: its tool is not installed"
                      COMMAND ${CMAKE_COMMAND} -E false)
  endif()
endfunction()

lint_target(tidy "${CLANG_TIDY}" -p ${PROJECT_BINARY_DIR} --quiet --warnings-as-errors=* ${our_c_files})
lint_target(format-check "${CLANG_FORMAT}" --dry-run --Werror ${our_sources})
lint_target(format "${CLANG_FORMAT}" -i ${our_sources})
