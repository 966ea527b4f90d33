#!/usr/bin/env bash
# Makes the sets of vectors that indexes are measured with: real descriptors of the photographs in Debian's wallpaper packages
# (sift_base.fbin, sift_query.fbin), and simulated embeddings (syn_N_base.fbin, with queries _same and _other). What is there is
# not made again. No root is needed; 300 MB are downloaded.
#
#   OUT=folder      where all goes, default: bench-data
#   SIMULATED="n"   sizes of the simulated sets, default: "1000000 10000000" (5.6 GB)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-bench-data}
say() { printf 'bench-data: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

mkdir -p "$out/photographs"
out=$(realpath "$out")
if [ ! -e "$out/sift_query.fbin" ]; then
    mapfile -t packages < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/bench/photographs.txt")
    for package in "${packages[@]}"; do
        folder=$out/photographs/$package
        [ -e "$folder" ] && continue
        say "fetching $package"
        rm -rf "$folder.partial" && mkdir "$folder.partial"
        (cd "$folder.partial" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
            fail "$package could not be downloaded ('apt-get update' renews the lists of packages)"
        dpkg-deb -x "$folder.partial"/*.deb "$folder.partial"
        rm "$folder.partial"/*.deb
        mv "$folder.partial" "$folder"
    done
    "$root/build/bench_descriptors" "$out/photographs" "$out/sift"
fi
for n in ${SIMULATED:-1000000 10000000}; do
    [ -e "$out/syn_${n}_other.fbin" ] || "$root/build/bench_vectors" --count "$n" "$out/syn_$n"
done
say "all is in $out"
