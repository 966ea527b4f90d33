# libdiptych.so: storage, encoder, index, search and core in one library that exports what include/diptych/*.h declares
# and nothing else; with diptych.pc and a CMake package.
set(public_layers dip_search dip_index dip_encoder dip_storage dip_core)
file(GLOB public_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/diptych/*.h)

# The export list. A declaration begins in the first column; whatever it begins with, its function is the first dip_...( of it.
set(exports "")
foreach(header IN LISTS public_headers)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
    file(STRINGS ${header} lines REGEX "^[a-z].*dip_[a-z0-9_]+\\(")
    foreach(line IN LISTS lines)
        string(REGEX MATCH "dip_[a-z0-9_]+\\(" name "${line}")
        string(REPLACE "(" "" name "${name}")
        list(APPEND exports ${name})
    endforeach()
endforeach()
list(SORT exports)
list(JOIN exports ";\n        " joined)
set(version_script ${CMAKE_BINARY_DIR}/libdiptych.map)
file(CONFIGURE OUTPUT ${version_script} CONTENT "DIPTYCH_${PROJECT_VERSION_MAJOR} {
    global:
        ${joined};
    local:
        *;
};
")
list(JOIN exports "\n" joined)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/libdiptych.exports CONTENT "${joined}\n")

add_library(diptych_library SHARED ${CMAKE_SOURCE_DIR}/cmake/empty.c)
set_target_properties(diptych_library PROPERTIES
    OUTPUT_NAME diptych EXPORT_NAME diptych LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${version_script})
target_include_directories(diptych_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# The exported names are the roots: the linker takes from the layers what they need, and no more.
list(TRANSFORM exports PREPEND "-Wl,--undefined=" OUTPUT_VARIABLE roots)
target_link_options(diptych_library PRIVATE ${roots}
    -Wl,--version-script=${version_script} -Wl,--no-undefined -Wl,--as-needed)
target_link_libraries(diptych_library PRIVATE ${public_layers})

include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/diptych)
# Relative, so that an installed tree may be moved.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" prefix_from_pc "${prefix_from_pc}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/diptych.pc.in ${CMAKE_BINARY_DIR}/diptych.pc @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/diptych-config-version.cmake COMPATIBILITY SameMinorVersion)
install(TARGETS diptych_library EXPORT diptych-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/diptych)
install(FILES ${CMAKE_BINARY_DIR}/diptych.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(EXPORT diptych-targets FILE diptych-config.cmake NAMESPACE diptych:: DESTINATION ${package_folder})
install(FILES ${CMAKE_BINARY_DIR}/diptych-config-version.cmake DESTINATION ${package_folder})
