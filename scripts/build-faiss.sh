#!/usr/bin/env bash
# Builds FAISS 1.7.3 with AVX2 and its C API from Debian's own source package, once, into a cache outside the tree:
#
#   ${DIPTYCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/diptych}/faiss-<version>-<variant>-<fingerprint>/{include,lib}
#
# Debian's binary packages do not do: their library is built without AVX2 (2 to 10 times slower), and they ship the C API's
# headers without its functions. The fingerprint covers compiler, flags and recipe, so a change of any of them builds anew.
# No root is needed and nothing of the system's configuration changes: apt works on private folders, with deb-src lines derived
# from the system's own sources. A build happens in a folder beside its destination, is renamed when complete, and holds a lock,
# so it may be interrupted at any time and two runs do not collide.
#
# usage: build-faiss.sh [--where | --key]
#   Without an option: builds if need be, then prints the folder. An empty line means that the system has an installed libfaiss_c
#   (library and headers), which CMake finds without help and which is used instead. DIPTYCH_FAISS_ROOT, when set, names a ready
#   folder to use and nothing is built. --where only prints the folder, --key the part of its name that changes with recipe
#   and compiler.
set -euo pipefail

version=1.7.3
here=$(cd "$(dirname "$0")" && pwd)
recipe=$here/../cmake/faiss/CMakeLists.txt
cxx=${CXX:-c++}
cxxflags="-O3 -DNDEBUG"
cache=${DIPTYCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/diptych}

say() { printf 'faiss: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The variant this processor can run; FAISS has hand-written code for AVX2 only.
variant() {
    if [ "$(uname -m)" = x86_64 ] && grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo && grep -qw f16c /proc/cpuinfo; then
        echo avx2
    else
        echo generic
    fi
}

fingerprint() {
    { "$cxx" --version | head -n 1; "$cxx" -dumpmachine; echo "$cxxflags"; declare -f fetch unpack build; cat "$recipe"; } |
        sha256sum | cut -c 1-12
}

# True when libfaiss_c of this version and its headers are installed where the compiler looks.
installed_in_system() {
    local probe='#include <faiss/c_api/Index_c.h>
int main(void) { return faiss_Index_free == 0; }' folder
    for folder in /usr/local/include /usr/include; do
        [ -e "$folder/faiss/c_api/Index_c.h" ] || continue
        [ "$(sed -nE 's/^#define FAISS_VERSION_[A-Z]+ ([0-9]+).*/\1/p' "$folder/faiss/Index.h" | paste -sd.)" = "$version" ] || return 1
        printf '%s\n' "$probe" | "${CC:-cc}" -x c - -o /dev/null -lfaiss_c 2>/dev/null
        return
    done
    return 1
}

# deb-src lines for a private apt, from the system's one-line (*.list) and deb822 (*.sources) files; Signed-By stays.
derive_sources() {
    local to=$1 file n=0 etc parts main
    eval "$(apt-config shell main Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    mkdir -p "$to"
    for file in "$main" "$parts"/*.list "$parts"/*.sources; do
        [ -f "$file" ] || continue
        n=$((n + 1))
        case $file in
        *.sources)
            # A stanza that is switched off, or of sources already, keeps its meaning; every Types line becomes deb-src.
            sed -E 's/^[Tt]ypes:.*/Types: deb-src/' "$file" >"$to/$n.sources" ;;
        *)
            sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$file" | sort -u >"$to/$n.list" ;;
        esac
    done
    [ "$n" -gt 0 ] || die "apt has no sources on this machine; FAISS comes from Debian's source package 'faiss'"
}

# Downloads the source package into folder $1; apt checks it against the archive's signature.
fetch() {
    local to=$1 apt=$1/apt full
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    derive_sources "$apt/sources"
    local options=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/sources" -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    say "fetching Debian's source package faiss $version"
    apt-get -qq "${options[@]}" update >&2 ||
        die "cannot read the package lists; is the network up, and do the entries of /etc/apt work ('apt-get update')?"
    full=$(apt-cache "${options[@]}" showsrc --only-source faiss | sed -n "s/^Version: \($version-.*\)/\1/p" | sort -V | tail -n 1)
    [ -n "$full" ] || die "no source package faiss $version in this system's archive (Debian 12 has it); install libfaiss_c, or set DIPTYCH_FAISS_ROOT"
    (cd "$to" && apt-get -qq "${options[@]}" source --download-only --only-source "faiss=$full" >&2) ||
        die "cannot download the source package faiss $full"
    rm -rf "$apt"
}

# Unpacks folder $1's source package, from the cache of an earlier build if there is one.
unpack() {
    local work=$1 keep=$cache/source/faiss-$version
    if ! compgen -G "$keep/*.dsc" >/dev/null; then
        mkdir -p "$work/download"
        fetch "$work/download"
        mkdir -p "$cache/source"
        rm -rf "$keep"
        mv "$work/download" "$keep"
    fi
    dpkg-source --no-check -x "$keep"/*.dsc "$work/source" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        rm -rf "$keep"
        die "cannot unpack the source package; the download was thrown away, run again"
    }
}

build() {
    local work=$1 out=$2 jobs
    jobs=$(nproc)
    unpack "$work"
    say "building ($(variant), $jobs jobs; 2 to 3 minutes on 2 cores, once) into $root"
    {
        cmake -S "$(dirname "$recipe")" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_CXX_FLAGS_RELEASE="$cxxflags" -DCMAKE_INSTALL_PREFIX="$out" \
            -DFAISS_SOURCE="$work/source" -DFAISS_VARIANT="$(variant)" &&
            cmake --build "$work/build" --parallel "$jobs" &&
            cmake --install "$work/build"
    } >"$work/log" 2>&1 || {
        tail -n 40 "$work/log" >&2
        die "the build failed (last lines above); the usual cause is a missing package of packages.txt or too little memory or disk"
    }
    cp "$work/source/LICENSE" "$out/LICENSE"
}

root=$cache/faiss-$version-$(variant)-$(fingerprint)
case ${1:-} in
--where) echo "$root"; exit 0 ;;
--key) basename "$root"; exit 0 ;;
"") ;;
*) die "usage: build-faiss.sh [--where | --key]" ;;
esac

if [ -n "${DIPTYCH_FAISS_ROOT:-}" ]; then
    [ -e "$DIPTYCH_FAISS_ROOT/include/faiss/c_api/Index_c.h" ] || die "DIPTYCH_FAISS_ROOT: no include/faiss/c_api/Index_c.h in '$DIPTYCH_FAISS_ROOT'"
    echo "$DIPTYCH_FAISS_ROOT"
    exit 0
fi
if [ ! -e "$root/complete" ]; then
    if installed_in_system; then
        say "using the installed libfaiss_c"
        echo
        exit 0
    fi
    for tool in apt-get dpkg-source cmake ninja flock "$cxx"; do
        command -v "$tool" >/dev/null || die "'$tool' is missing; 'make setup' installs it"
    done
    mkdir -p "$cache" || die "cannot create the cache folder '$cache'; set DIPTYCH_CACHE to a folder of yours"
    exec 9>"$cache/faiss.lock"
    flock -n 9 || { say "another run is building FAISS; waiting for it"; flock 9; }
    if [ ! -e "$root/complete" ]; then
        started=$SECONDS
        rm -rf "$cache"/.building-*            # left by an interrupted run: we hold the lock, so nobody works there
        work=$(mktemp -d "$cache/.building-XXXXXX")
        trap 'rm -rf "$work"' EXIT
        trap 'exit 130' INT TERM HUP
        build "$work" "$work/out"
        touch "$work/out/complete"
        sync -f "$work/out/complete"
        rm -rf "$root"
        mv "$work/out" "$root"
        say "built in $((SECONDS - started)) s"
    fi
fi
echo "$root"
