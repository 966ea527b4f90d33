# Warnings, sanitizers, fuzzing.
option(DIPTYCH_WERROR "warnings are errors" ON)
option(DIPTYCH_FUZZ "build the fuzz targets (clang)" OFF)
set(DIPTYCH_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined or thread")

add_library(diptych_flags INTERFACE)
target_compile_options(diptych_flags INTERFACE
    -Wall -Wextra -Wshadow -Wvla -fno-math-errno -ffp-contract=off
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    $<$<BOOL:${DIPTYCH_WERROR}>:-Werror>)
target_include_directories(diptych_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
if(DIPTYCH_SANITIZE)
    add_compile_options(-fsanitize=${DIPTYCH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${DIPTYCH_SANITIZE})
endif()
