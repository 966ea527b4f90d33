# Switches of the build, warnings, sanitizers.
option(DIPTYCH_WERROR "warnings are errors" ON)
option(DIPTYCH_SHARED "build and install libdiptych.so" ON)
option(DIPTYCH_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)
set(DIPTYCH_FUZZ_SECONDS 15 CACHE STRING "how long one fuzz target runs as a test")
set(DIPTYCH_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined or thread")

add_library(diptych_flags INTERFACE)
# No fused multiply-add unless the code asks for it: results must not depend on what a compiler finds to contract.
target_compile_options(diptych_flags INTERFACE
    -Wall -Wextra -Wshadow -Wvla -fno-math-errno -ffp-contract=off
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    $<$<BOOL:${DIPTYCH_WERROR}>:-Werror>)
target_compile_definitions(diptych_flags INTERFACE DIPTYCH_VERSION="${PROJECT_VERSION}")
target_include_directories(diptych_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
if(DIPTYCH_SANITIZE)
    # GCC warns of variables that only the instrumentation keeps it from following; its own manual says so.
    target_compile_options(diptych_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    add_compile_options(-fsanitize=${DIPTYCH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${DIPTYCH_SANITIZE})
endif()
if(DIPTYCH_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "DIPTYCH_FUZZ needs clang, which brings libFuzzer: cmake --preset fuzz")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
