# The program.
set(all_layers dip_search dip_train dip_ingest dip_index dip_encoder dip_storage dip_core)

file(GLOB tool_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
add_executable(diptych ${tool_sources})
target_link_libraries(diptych PRIVATE diptych_flags ${all_layers})
target_compile_definitions(diptych PRIVATE DIPTYCH_VERSION="${PROJECT_VERSION}")

if(DIPTYCH_FUZZ)
    set_target_properties(diptych PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

include(GNUInstallDirs)
install(TARGETS diptych RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
