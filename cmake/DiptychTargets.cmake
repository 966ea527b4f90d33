# The program.
set(all_layers dip_server dip_front dip_compare dip_search dip_train dip_ingest dip_index dip_encoder dip_storage dip_core)

# All but main.c is a library, so that tests reach it.
file(GLOB tool_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
list(REMOVE_ITEM tool_sources ${CMAKE_SOURCE_DIR}/tools/main.c)
add_library(dip_tools STATIC ${tool_sources})
target_link_libraries(dip_tools PRIVATE diptych_flags PUBLIC ${all_layers})
add_executable(diptych ${CMAKE_SOURCE_DIR}/tools/main.c)
target_link_libraries(diptych PRIVATE diptych_flags dip_tools)

# Each bench/bench_<name>.c is a program of its own; the other files of bench/ and its folders are linked to all, and to their
# tests. Programs that need a peer's library are left out without it.
file(GLOB bench_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/bench_*.c)
file(GLOB bench_support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c ${CMAKE_SOURCE_DIR}/bench/*/*.c)
list(REMOVE_ITEM bench_support ${bench_sources})
find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.h)
find_library(DNNL_LIBRARY dnnl)
mark_as_advanced(DNNL_INCLUDE DNNL_LIBRARY)
if(NOT DNNL_INCLUDE OR NOT DNNL_LIBRARY)
    list(FILTER bench_sources EXCLUDE REGEX "/bench_dnnl\\.c$")
endif()
add_library(dip_bench STATIC ${bench_support})
target_link_libraries(dip_bench PRIVATE diptych_flags PUBLIC dip_tools ${all_layers})
diptych_link(dip_bench JANSSON)
set(bench_programs dip_bench)
foreach(source IN LISTS bench_sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE diptych_flags dip_bench)
    list(APPEND bench_programs ${name})
endforeach()
if(TARGET bench_dnnl)
    target_include_directories(bench_dnnl SYSTEM PRIVATE ${DNNL_INCLUDE})
    target_link_libraries(bench_dnnl PRIVATE ${DNNL_LIBRARY})
endif()

# A peer of `diptych bench`, in a process of its own; for this very machine, as its author would compile it. Not under sanitizers:
# hnswlib reads a few bytes behind its links and races on purpose, and that is not ours to mend.
find_path(HNSWLIB_INCLUDE hnswlib/hnswlib.h)
mark_as_advanced(HNSWLIB_INCLUDE)
if(HNSWLIB_INCLUDE AND NOT DIPTYCH_SANITIZE)
    add_executable(peer_hnswlib ${CMAKE_SOURCE_DIR}/bench/peer_hnswlib.cpp)
    target_include_directories(peer_hnswlib SYSTEM PRIVATE ${HNSWLIB_INCLUDE})
    target_compile_options(peer_hnswlib PRIVATE -O3 -march=native -Wall -Wextra)
    target_link_libraries(peer_hnswlib PRIVATE Threads::Threads)
    list(APPEND bench_programs peer_hnswlib)
endif()

if(DIPTYCH_FUZZ)
    set_target_properties(diptych dip_tools ${bench_programs} PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

include(GNUInstallDirs)
install(TARGETS diptych RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# The manual page and the completions: what is installed writes them from its own tables.
set(words ${CMAKE_BINARY_DIR}/words)
install(CODE "
    file(MAKE_DIRECTORY ${words})
    foreach(word man completion-bash completion-zsh completion-fish)
        string(REPLACE \"-\" \";\" option \${word})
        execute_process(COMMAND $<TARGET_FILE:diptych> help --\${option} OUTPUT_FILE ${words}/\${word} COMMAND_ERROR_IS_FATAL ANY)
    endforeach()")
install(FILES ${words}/man DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 RENAME diptych.1)
install(FILES ${words}/completion-bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME diptych)
install(FILES ${words}/completion-zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _diptych)
install(FILES ${words}/completion-fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME diptych.fish)
