# The program, the library, the tests, the benches.
set(all_layers dip_search dip_train dip_ingest dip_index dip_encoder dip_storage dip_core)

file(GLOB tool_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
if(tool_sources)
    add_executable(diptych ${tool_sources})
    target_link_libraries(diptych PRIVATE diptych_flags ${all_layers})
endif()

if(CMOCKA_FOUND)
    enable_testing()
    add_library(diptych_testing INTERFACE)
    target_link_libraries(diptych_testing INTERFACE diptych_flags ${all_layers} PkgConfig::CMOCKA)
    target_compile_definitions(diptych_testing INTERFACE
        DIP_SOURCE_DIR="${CMAKE_SOURCE_DIR}" DIP_SHARED_DATA="${CMAKE_SOURCE_DIR}/../shared/data")
    file(GLOB test_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/test_*.c)
    foreach(source IN LISTS test_sources)
        get_filename_component(folder ${source} DIRECTORY)
        get_filename_component(folder ${folder} NAME)
        get_filename_component(name ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" name ${name})
        # Helpers of a folder's tests: tests/<folder>/support*.c
        file(GLOB support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/support*.c)
        add_executable(test_${folder}_${name} ${source} ${support})
        target_link_libraries(test_${folder}_${name} PRIVATE diptych_testing)
        add_test(NAME ${folder}/${name} COMMAND test_${folder}_${name})
        set_tests_properties(${folder}/${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
    endforeach()
endif()
