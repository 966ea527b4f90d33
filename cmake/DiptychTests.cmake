# The tests. tests/<folder>/test_<name>.c becomes an executable and the ctest entry <folder>/<name>; tests/<folder>/support*.c is
# linked to all of a folder's tests. test_<name>.sh is run by bash with DIPTYCH naming the program. A line "ctest: slow" in the
# opening comment gives the label `slow` (left out under sanitizers), "ctest: no-tsan" the label `no-tsan` (left out under
# ThreadSanitizer), "ctest: serial" keeps other tests from running beside it.
# Exit status 77 means skipped.
if(NOT CMOCKA_FOUND)
    message(STATUS "cmocka was not found: no tests")
    return()
endif()
enable_testing()

# Suppressions and what an uninstrumented OpenMP needs; the files say why.
set(test_environment "OMP_WAIT_POLICY=PASSIVE")
if(DIPTYCH_SANITIZE MATCHES "address")
    # Without detect_stack_use_after_return: gcc 12 puts 64-byte vectors on its stand-in stack without aligning them.
    list(APPEND test_environment
        "ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1:allocator_may_return_null=1"
        "UBSAN_OPTIONS=print_stacktrace=1"
        "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")
elseif(DIPTYCH_SANITIZE MATCHES "thread")
    list(APPEND test_environment "OMP_NUM_THREADS=1"
        "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:print_suppressions=0:second_deadlock_stack=1:allocator_may_return_null=1:die_after_fork=0")
endif()

function(diptych_test_properties name source)
    get_filename_component(folder ${name} DIRECTORY)
    set(labels ${folder})
    if(source)
        file(STRINGS ${source} marks REGEX "ctest: (slow|serial|no-tsan)" LIMIT_COUNT 4)
        if(marks MATCHES "slow")
            list(APPEND labels slow)
        endif()
        if(marks MATCHES "no-tsan")
            list(APPEND labels no-tsan)
        endif()
        if(marks MATCHES "serial")
            set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
        endif()
    endif()
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 LABELS "${labels}"
        ENVIRONMENT "${test_environment};DIPTYCH=$<TARGET_FILE:diptych>")
endfunction()

# Sets <out> to the layers that the sources name in their includes, so that a test waits for no other folder's build.
function(diptych_layers_of out)
    set(layers "")
    foreach(source IN LISTS ARGN)
        file(STRINGS ${source} lines REGEX "^#include \"[a-z]+/")
        foreach(line IN LISTS lines)
            string(REGEX REPLACE "^#include \"([a-z]+)/.*" "dip_\\1" layer "${line}")
            if(layer IN_LIST all_layers)
                list(APPEND layers ${layer})
            endif()
        endforeach()
    endforeach()
    # In the order of all_layers: users before those they use.
    set(ordered "")
    foreach(layer IN LISTS all_layers)
        if(layer IN_LIST layers)
            list(APPEND ordered ${layer})
        endif()
    endforeach()
    set(${out} ${ordered} PARENT_SCOPE)
endfunction()

if(NOT DIPTYCH_FUZZ)
    add_library(diptych_testing INTERFACE)
    target_link_libraries(diptych_testing INTERFACE diptych_flags PkgConfig::CMOCKA)
    target_compile_definitions(diptych_testing INTERFACE
        DIP_SOURCE_DIR="${CMAKE_SOURCE_DIR}" DIP_SHARED_DATA="${CMAKE_SOURCE_DIR}/../shared/data")

    file(GLOB test_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/test_*.c)
    foreach(source IN LISTS test_sources)
        get_filename_component(folder ${source} DIRECTORY)
        get_filename_component(folder ${folder} NAME)
        get_filename_component(name ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" name ${name})
        file(GLOB support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/support*.c)
        add_executable(test_${folder}_${name} ${source} ${support})
        diptych_layers_of(layers ${source} ${support})
        if(TARGET dip_${folder})
            list(PREPEND layers dip_${folder})
        endif()
        target_link_libraries(test_${folder}_${name} PRIVATE diptych_testing ${layers} dip_core)
        add_test(NAME ${folder}/${name} COMMAND test_${folder}_${name})
        diptych_test_properties(${folder}/${name} ${source})
    endforeach()

    file(GLOB test_scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/test_*.sh)
    foreach(source IN LISTS test_scripts)
        get_filename_component(folder ${source} DIRECTORY)
        get_filename_component(folder ${folder} NAME)
        get_filename_component(name ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" name ${name})
        add_test(NAME ${folder}/${name} COMMAND bash ${source})
        diptych_test_properties(${folder}/${name} ${source})
    endforeach()

    # Rules of the source tree itself: the same whatever the build.
    if(NOT DIPTYCH_SANITIZE)
        add_test(NAME source/layers COMMAND bash ${CMAKE_SOURCE_DIR}/tests/layers.sh ${CMAKE_SOURCE_DIR})
        add_test(NAME source/layers-can-fail COMMAND bash ${CMAKE_SOURCE_DIR}/tests/layers-can-fail.sh ${CMAKE_SOURCE_DIR})
        add_test(NAME source/headers COMMAND bash ${CMAKE_SOURCE_DIR}/tests/headers.sh
            ${CMAKE_SOURCE_DIR} ${CMAKE_C_COMPILER} ${CMAKE_CXX_COMPILER})
        find_program(CLANG_FORMAT clang-format-14)
        if(CLANG_FORMAT)
            add_test(NAME source/format COMMAND bash ${CMAKE_SOURCE_DIR}/tests/format.sh ${CMAKE_SOURCE_DIR} ${CLANG_FORMAT})
            diptych_test_properties(source/format "")
        endif()
        diptych_test_properties(source/layers "")
        diptych_test_properties(source/layers-can-fail "")
        diptych_test_properties(source/headers "")
    endif()
    if(DIPTYCH_SHARED)
        add_test(NAME install/library COMMAND bash ${CMAKE_SOURCE_DIR}/tests/consumer/run.sh
            ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR} ${CMAKE_C_COMPILER})
        diptych_test_properties(install/library "")
    endif()
endif()

# Fuzz targets: with clang and DIPTYCH_FUZZ they run under libFuzzer for a while; otherwise replay.c takes each through its seed
# corpus and mutations of it, so that every compiler and sanitizer sees them.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
foreach(source IN LISTS fuzz_sources)
    get_filename_component(target ${source} NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" name ${target})
    set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    if(DIPTYCH_FUZZ)
        add_executable(${target} ${source})
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        set(scratch ${CMAKE_BINARY_DIR}/corpus/${name})
        file(MAKE_DIRECTORY ${scratch})
        add_test(NAME fuzz/${name} COMMAND ${target} -seed=1 -max_total_time=${DIPTYCH_FUZZ_SECONDS} -timeout=10
            -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 -artifact_prefix=${CMAKE_BINARY_DIR}/${name}- ${scratch} ${corpus})
    else()
        add_executable(${target} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
        add_test(NAME fuzz/${name} COMMAND ${target} ${corpus})
    endif()
    # A target's interface is libFuzzer's, which declares it nowhere.
    target_compile_options(${target} PRIVATE -Wno-missing-prototypes)
    diptych_layers_of(layers ${source})
    target_link_libraries(${target} PRIVATE diptych_flags ${layers} dip_core)
    set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 300 ENVIRONMENT "${test_environment}")
endforeach()
