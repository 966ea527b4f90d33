# FAISS 1.7.3 with its C API, as target FAISS. Looked for in this order:
#   1. DIPTYCH_FAISS_ROOT, when set: a folder with include/ and lib/ as scripts/build-faiss.sh leaves it;
#   2. an installed libfaiss_c where CMake looks by default (CMAKE_PREFIX_PATH works), if it is version 1.7.3;
#   3. what scripts/build-faiss.sh put into its cache.
# Debian's libfaiss-dev has the headers of the C API but not its functions, so it alone does not count.
set(DIPTYCH_FAISS_ROOT "" CACHE PATH "folder of FAISS with its C API; empty: an installed one, else the cache of scripts/build-faiss.sh")
set(faiss_version 1.7.3)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/scripts/build-faiss.sh ${CMAKE_SOURCE_DIR}/cmake/faiss/CMakeLists.txt)

# Sets <out> to the version that <include>/faiss/Index.h states, or "".
function(diptych_faiss_version include out)
    set(version "")
    if(EXISTS ${include}/faiss/Index.h)
        foreach(part MAJOR MINOR PATCH)
            file(STRINGS ${include}/faiss/Index.h line REGEX "#define FAISS_VERSION_${part} ")
            string(REGEX REPLACE ".* ([0-9]+).*" "\\1" number "${line}")
            list(APPEND version ${number})
        endforeach()
        string(REPLACE ";" "." version "${version}")
    endif()
    set(${out} "${version}" PARENT_SCOPE)
endfunction()

# Searches root (or, if empty, the default places) and sets faiss_include and faiss_libraries, or leaves them empty.
function(diptych_faiss_search root)
    set(where PATHS ${root} PATH_SUFFIXES lib NO_DEFAULT_PATH)
    if(root STREQUAL "")
        set(where "")
    endif()
    # Not kept in CMake's cache: the folder's name changes with recipe and compiler.
    foreach(variable header c_library library)
        unset(faiss_found_${variable} CACHE)
    endforeach()
    if(root STREQUAL "")
        find_path(faiss_found_header faiss/c_api/Index_c.h)
    else()
        find_path(faiss_found_header faiss/c_api/Index_c.h PATHS ${root}/include NO_DEFAULT_PATH)
    endif()
    find_library(faiss_found_c_library faiss_c ${where})
    find_library(faiss_found_library NAMES faiss_avx2 faiss ${where})
    diptych_faiss_version("${faiss_found_header}" version)
    if(faiss_found_header AND faiss_found_c_library AND faiss_found_library)
        if(version STREQUAL faiss_version)
            set(faiss_include ${faiss_found_header} PARENT_SCOPE)
            set(faiss_libraries ${faiss_found_c_library} ${faiss_found_library} PARENT_SCOPE)
        else()
            message(STATUS "FAISS in ${faiss_found_header} is version ${version}, not ${faiss_version}: not used")
        endif()
    endif()
    foreach(variable header c_library library)
        unset(faiss_found_${variable} CACHE)
    endforeach()
endfunction()

set(faiss_include "")
if(DIPTYCH_FAISS_ROOT)
    diptych_faiss_search("${DIPTYCH_FAISS_ROOT}")
else()
    diptych_faiss_search("")
    if(NOT faiss_include)
        execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/build-faiss.sh --where
            OUTPUT_VARIABLE faiss_cache OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
        diptych_faiss_search("${faiss_cache}")
    endif()
endif()
if(NOT faiss_include)
    message(FATAL_ERROR "FAISS ${faiss_version} with its C API was not found. 'make setup' builds it; "
        "an own build is named with -DDIPTYCH_FAISS_ROOT=folder")
endif()
message(STATUS "FAISS: ${faiss_libraries}")

# Static libraries: the C API before the library it calls, then FAISS's own needs. FAISS is compiled by GCC, and OpenBLAS
# uses GCC's OpenMP too, so libgomp is named outright: with clang, OpenMP::OpenMP_CXX would add a second runtime.
add_library(FAISS INTERFACE)
target_include_directories(FAISS SYSTEM INTERFACE ${faiss_include})
target_link_libraries(FAISS INTERFACE ${faiss_libraries} gomp PkgConfig::BLAS stdc++ m)
