#!/usr/bin/env bash
# Makes a machine ready to build Diptych: installs what is missing of packages.txt, then builds FAISS into the cache
# (scripts/build-faiss.sh). Run again it finds everything there and is done in a moment. usage: setup.sh [more lists of packages]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

lists=("$here/../packages.txt" "$@")
# A second word in a line is a command that makes the package needless.
wanted() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${lists[@]}" | while read -r package command; do
        [ -n "$command" ] && command -v "$command" >/dev/null || echo "$package"
    done
}

missing_packages() {
    local all
    mapfile -t all < <(wanted)
    comm -23 <(printf '%s\n' "${all[@]}" | LC_ALL=C sort -u) \
        <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${all[@]}" 2>/dev/null | sed -n 's/ installed$//p' | LC_ALL=C sort -u)
}

install_packages() {
    local install=(apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "$@") as_root=()
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            local become="sudo sh -c"
            command -v sudo >/dev/null || become="su -c"
            say "packages are missing ($#), and installing them needs root; run this, then 'make' again:"
            printf "\n%s 'apt-get update && %s'\n\n" "$become" "${install[*]}" >&2
            exit 1
        fi
        as_root=(sudo -n)
    fi
    say "installing what is missing ($#), which may take some minutes: $*"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 ||
        say "the package lists could not be renewed; trying with those at hand"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq -o Dpkg::Use-Pty=0 >>"$log" 2>&1 || {
        grep -vE '^(Selecting|Preparing|Unpacking|Setting up|Processing|\(Reading)' "$log" | tail -n 30 >&2
        die "apt-get could not install the packages (its words are above)"
    }
}

# Another system: its own package names, so only the libraries themselves can be asked for.
check_other_system() {
    local tool library lacking=()
    say "this is ${1:-an unknown system}, not Debian 12, whose packages packages.txt names; looking for the libraries themselves"
    for tool in cc c++ cmake ninja pkg-config; do
        command -v "$tool" >/dev/null || lacking+=("$tool")
    done
    for library in gdal geos hdf5 lmdb libmicrohttpd libzstd libxxhash openblas jansson inih cmocka; do
        pkg-config --exists "$library" 2>/dev/null || lacking+=("$library")
    done
    [ ${#lacking[@]} = 0 ] || die "not found: ${lacking[*]}; install them and run again"
}

started=$SECONDS
# shellcheck disable=SC1091
system=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") || system=
if [ "$system" = "debian 12" ]; then
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
else
    check_other_system "$system"
fi
faiss=$("$here/build-faiss.sh")
say "ready in $((SECONDS - started)) s: packages are there, FAISS is ${faiss:-the installed one}"
