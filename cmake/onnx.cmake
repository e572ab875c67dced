# ONNX's messages in C: protobuf-c's compiler over the onnx.proto that the distribution ships. Gives onnx_proto_source and
# tessera_onnx_proto, whose users find onnx.pb-c.h.
find_path(ONNX_PROTO_DIR NAMES onnx.proto onnx-ml.proto PATH_SUFFIXES onnx)
if(NOT ONNX_PROTO_DIR)
  # Where only Python's package is installed, the file lies in it.
  file(GLOB python_onnx /usr/lib/python3*/site-packages/onnx /usr/lib/python3/dist-packages/onnx
       /usr/lib64/python3*/site-packages/onnx)
  find_path(ONNX_PROTO_DIR NAMES onnx.proto onnx-ml.proto PATHS ${python_onnx} NO_DEFAULT_PATH)
endif()
find_program(PROTOC_C NAMES protoc-c)
find_program(PROTOC NAMES protoc) # enough with newer protobuf-c, which is only a plug-in of it
if(NOT ONNX_PROTO_DIR)
  message(FATAL_ERROR "onnx.proto: not found; install ONNX's development files (Debian: libonnx-dev), or set ONNX_PROTO_DIR")
endif()
if(NOT PROTOC_C AND NOT PROTOC)
  message(FATAL_ERROR "protoc-c: not found; install protobuf-c's compiler (Debian: protobuf-c-compiler)")
endif()
set(onnx_proto ${ONNX_PROTO_DIR}/onnx.proto)
if(NOT EXISTS ${onnx_proto})
  set(onnx_proto ${ONNX_PROTO_DIR}/onnx-ml.proto)
endif()

# The newest operator set that this ONNX knows stands in one of its headers; 17 is that of ONNX 1.12.
set(onnx_newest_opset 17)
set(onnx_schema ${ONNX_PROTO_DIR}/defs/schema.h)
if(EXISTS ${onnx_schema})
  file(STRINGS ${onnx_schema} onnx_ranges REGEX "map_\\[ONNX_DOMAIN\\] = std::make_pair\\(1, [0-9]+\\)")
  if(onnx_ranges MATCHES "make_pair\\(1, ([0-9]+)\\)")
    set(onnx_newest_opset ${CMAKE_MATCH_1})
  endif()
endif()
message(STATUS "ONNX: ${onnx_proto}, operator sets up to ${onnx_newest_opset}")

# A copy in the build tree, so that the generated files have the same name everywhere.
set(onnx_dir ${PROJECT_BINARY_DIR}/onnx)
set(onnx_proto_source ${onnx_dir}/onnx.pb-c.c)
file(MAKE_DIRECTORY ${onnx_dir})
add_custom_command(OUTPUT ${onnx_proto_source} ${onnx_dir}/onnx.pb-c.h
  COMMAND ${CMAKE_COMMAND} -E copy ${onnx_proto} ${onnx_dir}/onnx.proto
  COMMAND $<IF:$<BOOL:${PROTOC_C}>,${PROTOC_C},${PROTOC}> --c_out=${onnx_dir} -I${onnx_dir} ${onnx_dir}/onnx.proto
  DEPENDS ${onnx_proto} VERBATIM)
set_source_files_properties(${onnx_proto_source} PROPERTIES COMPILE_OPTIONS -w) # not our code
add_custom_target(onnx_proto_files DEPENDS ${onnx_proto_source} ${onnx_dir}/onnx.pb-c.h)

add_library(tessera_onnx_proto INTERFACE)
target_include_directories(tessera_onnx_proto SYSTEM INTERFACE ${onnx_dir})
target_compile_definitions(tessera_onnx_proto INTERFACE ONNX_NEWEST_OPSET=${onnx_newest_opset})
target_link_libraries(tessera_onnx_proto INTERFACE PkgConfig::PROTOBUF_C)
add_dependencies(tessera_onnx_proto onnx_proto_files)
