# The library as others get it: libtessera.so, libtessera.a, header, pkg-config file, CMake package.
include(CMakePackageConfigHelpers)

add_library(tessera SHARED $<TARGET_OBJECTS:tessera_objects>)
set_target_properties(tessera PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
target_link_libraries(tessera PUBLIC OpenCL::OpenCL PRIVATE ${library_links})
target_include_directories(tessera INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# The static library is one object file in which every name but tess_* is local: an application may have an
# error_set of its own.
set(public_object ${PROJECT_BINARY_DIR}/tessera_public.o)
add_custom_command(OUTPUT ${public_object}
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${public_object} $<TARGET_OBJECTS:tessera_objects>
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${public_object}
  DEPENDS $<TARGET_OBJECTS:tessera_objects> COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties(${public_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(tessera_static STATIC ${public_object})
set_target_properties(tessera_static PROPERTIES OUTPUT_NAME tessera EXPORT_NAME static
                      LINKER_LANGUAGE C)
target_link_libraries(tessera_static PUBLIC OpenCL::OpenCL PRIVATE ${library_links})
target_include_directories(tessera_static INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# Two export sets, so that a machine with only the shared library's dependencies can use that.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)
install(FILES host/tessera.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(TARGETS tessera EXPORT tessera-shared DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(TARGETS tessera_static EXPORT tessera-static DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(EXPORT tessera-shared NAMESPACE tessera:: DESTINATION ${package_dir} COMPONENT library)
install(EXPORT tessera-static NAMESPACE tessera:: DESTINATION ${package_dir} COMPONENT library)

configure_package_config_file(cmake/tessera-config.cmake.in ${PROJECT_BINARY_DIR}/tessera-config.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tessera-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tessera-config.cmake ${PROJECT_BINARY_DIR}/tessera-config-version.cmake
  DESTINATION ${package_dir} COMPONENT library)

# tessera-static.pc is there because pkg-config --static also wants the static dependencies of shared dependencies,
# which are not always installed. prefix is relative to the .pc file, so that the installed tree can be moved.
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
configure_file(cmake/tessera.pc.in ${PROJECT_BINARY_DIR}/tessera.pc @ONLY)
configure_file(cmake/tessera-static.pc.in ${PROJECT_BINARY_DIR}/tessera-static.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tessera.pc ${PROJECT_BINARY_DIR}/tessera-static.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
