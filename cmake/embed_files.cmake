# Writes files into one C file, as a table of struct embedded_source (core/embedded.h):
#   cmake -DOUT=file.c -DTABLE=embedded_sources -DPATTERNS=kernels_cl/*.cl,kernels_cl/*.clh -P embed_files.cmake
# Each file becomes an array of bytes: no limit on string literals, no escaping.
string(REPLACE "," ";" patterns "${PATTERNS}")
file(GLOB sources ${patterns})
list(SORT sources)
set(code "#include \"core/embedded.h\"\n\n")
set(table "")
foreach(source IN LISTS sources)
  get_filename_component(name "${source}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" id)
  file(READ "${source}" hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
         "\\1\n" bytes "${bytes}")
  string(APPEND code "static const unsigned char ${id}[] = {\n${bytes}0x00};\n\n")
  string(APPEND table "    {\"${name}\", (const char *)${id}, sizeof(${id}) - 1},\n")
endforeach()
string(APPEND code "const struct embedded_source ${TABLE}[] = {\n${table}    {0, 0, 0}};\n")
file(WRITE "${OUT}.tmp" "${code}")
file(COPY_FILE "${OUT}.tmp" "${OUT}" ONLY_IF_DIFFERENT)
