# The program.
set(all_layers dip_search dip_train dip_ingest dip_index dip_encoder dip_storage dip_core)

# All but main.c is a library, so that tests reach it.
file(GLOB tool_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
list(REMOVE_ITEM tool_sources ${CMAKE_SOURCE_DIR}/tools/main.c)
add_library(dip_tools STATIC ${tool_sources})
target_link_libraries(dip_tools PRIVATE diptych_flags PUBLIC ${all_layers})
add_executable(diptych ${CMAKE_SOURCE_DIR}/tools/main.c)
target_link_libraries(diptych PRIVATE diptych_flags dip_tools)

# Each bench/<name>.c is a program of its own.
file(GLOB bench_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
set(bench_programs "")
foreach(source IN LISTS bench_sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE diptych_flags ${all_layers})
    list(APPEND bench_programs ${name})
endforeach()

if(DIPTYCH_FUZZ)
    set_target_properties(diptych dip_tools ${bench_programs} PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

include(GNUInstallDirs)
install(TARGETS diptych RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
