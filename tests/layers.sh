#!/usr/bin/env bash
# Holds the source tree to its table: which folder may include which, that a vendor's header stands in one file of a folder and
# only in folders that may use it, and that no other library comes in unseen. usage: layers.sh <source tree>
set -euo pipefail
cd "${1:?usage: layers.sh <source tree>}"

folders=()
for folder in core storage ingest encoder train index compare cluster search front server tools; do
    [ -d "$folder" ] && folders+=("$folder")
done

# "file:#include <x>" or "file:#include "x"", one a line.
grep -rHoE --include='*.c' --include='*.h' --include='*.cpp' '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+[>"]' "${folders[@]}" |
    LC_ALL=C sort | awk '
BEGIN {
    # Folders of ours.
    may["core"] = ""
    may["storage"] = may["encoder"] = may["index"] = may["cluster"] = "core"
    may["ingest"] = "storage core"
    may["train"] = "encoder storage cluster core"
    may["search"] = "storage encoder index core"
    may["compare"] = "storage index core"
    may["front"] = "search ingest index encoder storage core"
    may["server"] = "front search ingest index encoder storage core"
    may["tools"] = "compare front search server train ingest index encoder storage cluster core"
    for (folder in may) ours[folder]

    # Vendors: a pattern of their headers, and the folders that may have an adapter.
    vendor["xxhash.h"] = "^xxh[0-9a-z]*\\.h$";                  user["xxhash.h"] = "core"
    vendor["lmdb"] = "^lmdb\\.h$";                              user["lmdb"] = "storage"
    vendor["zstd"] = "^(zstd|zstd_errors|zdict)\\.h$";          user["zstd"] = "storage"
    vendor["inih"] = "^ini\\.h$";                               user["inih"] = "storage tools"
    vendor["gdal"] = "^(gdal|cpl_|ogr)[a-z_0-9]*\\.h$";         user["gdal"] = "ingest"
    vendor["jansson"] = "^jansson\\.h$";                        user["jansson"] = "ingest encoder index train compare search front server tools"
    vendor["blas"] = "^(cblas|lapacke?|openblas_config)\\.h$";  user["blas"] = "encoder index train search"
    vendor["faiss C API"] = "^faiss/c_api/";                    user["faiss C API"] = "index"
    vendor["faiss"] = "^faiss/";                                user["faiss"] = "index"
    vendor["hdf5"] = "^(hdf5|hdf5_hl|H5[A-Za-z]*)\\.h$";         user["hdf5"] = "compare"
    vendor["geos"] = "^geos_c\\.h$";                            user["geos"] = "search"
    vendor["openmp"] = "^omp\\.h$";                             user["openmp"] = "encoder index train search"
    vendor["microhttpd"] = "^microhttpd\\.h$";                  user["microhttpd"] = "server"
    vendor["mpi"] = "^mpi\\.h$";                                user["mpi"] = "cluster"

    # Not a vendor: C, POSIX, Linux, the compiler.
    plain = "^(assert|complex|ctype|errno|fenv|float|inttypes|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|tgmath|threads|time|wchar|wctype" \
            "|aio|dirent|dlfcn|fcntl|fnmatch|ftw|getopt|glob|iconv|langinfo|libgen|malloc|netdb|poll|pthread|pwd|regex|sched|search|semaphore|spawn|sysexits|termios|unistd|utime" \
            "|cpuid|immintrin|x86intrin)\\.h$|^(sys|linux|netinet|arpa|asm)/[a-z_0-9]+\\.h$"
    cxx = "^(algorithm|array|atomic|cmath|cstddef|cstdint|cstdio|cstdlib|cstring|exception|functional|limits|memory|mutex|new|numeric|sstream|stdexcept|string|system_error|type_traits|unordered_map|utility|vector)$"
}
function fault(text) { print file ": " text; faults++ }
function has(list, word) { return index(" " list " ", " " word " ") > 0 }
{
    split($0, part, ":")
    file = part[1]
    folder = file; sub(/\/.*/, "", folder)
    quoted = match($0, /"[^"]+"/)
    if (!quoted) match($0, /<[^>]+>/)
    header = substr($0, RSTART + 1, RLENGTH - 2)

    if (header ~ /^diptych\//) next
    if (quoted) {
        from = header; sub(/\/.*/, "", from)
        if (!(from in ours) || header !~ /\//)
            fault("\"" header "\" is not named from the root of the tree (\"folder/file.h\")")
        else if (from != folder && !has(may[folder], from))
            fault("\"" header "\": " folder "/ may not include " from "/ (it may include: " may[folder] ")")
        next
    }
    name = ""
    for (v in vendor)
        if (header ~ vendor[v] && (v != "faiss" || header !~ /^faiss\/c_api\//)) name = v
    if (name == "") {
        if (header !~ plain && !(file ~ /\.cpp$/ && header ~ cxx)) fault("<" header "> is of no library in the table of tests/layers.sh")
        next
    }
    if (!has(user[name], folder))
        fault("<" header ">: " folder "/ may not use " name " (" user[name] " may)")
    if (name == "faiss" && file != "index/faiss_ext.cpp")
        fault("<" header ">: only index/faiss_ext.cpp uses the inside of " name)
    key = folder " " header
    if (key in seen && seen[key] != file)
        fault("<" header "> is in " seen[key] " already; a folder has one adapter to a library")
    seen[key] = file
    total++
}
END {
    if (faults) { print faults " faults"; exit 1 }
    if (NR < 10) { print "only " NR " includes were found; is this the source tree?"; exit 1 }
    print NR " includes, " total " of them of other libraries: all as the table says"
}'
