#!/usr/bin/env bash
# diptych bench: sweeps, continued sweeps, killed sweeps, programs that misbehave, an archive, real descriptors.
# ctest: no-tsan
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
data=${DIPTYCH_DATA:-$(realpath "$(dirname "$0")/../../../shared/data" 2>/dev/null || true)}
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "bench: $*" >&2
    exit 1
}
quietly() { "$diptych" "$@" >out 2>err || fail "diptych $*: $(cat err)"; }
# code, words of the line, command
refused() {
    local code=0 want=$1 words=$2
    shift 2
    "$diptych" "$@" >out 2>err || code=$?
    [ $code -eq "$want" ] || fail "diptych $*: ended with $code, not $want: $(cat err)"
    grep -qF -- "$words" err || fail "diptych $*: said '$(cat err)', not '$words'"
}
same() { [ "$1" = "$2" ] || fail "$3: $1, not $2"; }

# little-endian words in octal, for the heads of files
word() { printf "\\$(printf %o $(($1 % 256)))\\$(printf %o $(($1 / 256)))\\0\\0"; }
vectors() { word "$1" && word 16 && seq 9000 | gzip -9nc | tail -c +"$2" | head -c $((16 * $1)); } # rows, from byte
vectors 400 100 >base.u8bin
vectors 30 9000 >asks.u8bin
same "$(wc -c <base.u8bin)" 6408 "the base"

# A peer of another's making: this program behind a log of its requests.
cat >peer <<EOF
#!/usr/bin/env bash
tee -a requests | exec "$diptych" bench --serve faiss
EOF
chmod +x peer
rows() { grep -c '"engine"' o/results.jsonl; }
asked() { grep -c "^$1" requests || true; }

# ---- a sweep: every combination of parameters and batches, and everything that shows it ----
sweep() { quietly bench base.u8bin exact "mine: ./peer lists=8 / nprobe=1,8 depth=4" --queries asks.u8bin -o o --repeats 2 "$@"; }
: >requests
sweep --batches 1,7,all
same "$(rows)" 9 "rows of one search of exact and two of the peer, each in three batches"
same "$(asked build) $(asked search)" "1 18" "requests: one to build, three for each of six points"
grep '"engine":"exact"' o/results.jsonl | grep -vq '"recall":1,' && fail "exact search is not exact"
grep -q '"engine":"mine".*"describe":"IVF8,.*"build":"lists=8","search":"nprobe=8 depth=4","k":10,"batch":0' o/results.jsonl ||
    fail "no row of the peer: $(cat o/results.jsonl)"
grep -q 'recall@10' out || fail "no table: $(cat out)"
grep -q '</html>' o/report.html || fail "the page has no end"
grep -Eq '(src|href|url)[=(]|@import' o/report.html && fail "the page needs something else"
[ -s "o/results/base__asks/10/mine-batch7/lists=8_nprobe=8_depth=4.hdf5" ] ||
    fail "no result file: $(find o/results)"
same "$(ls o/indexes)" "" "indexes that were left"
if /usr/bin/python3 -c 'import h5py, numpy' 2>/dev/null; then
    /usr/bin/python3 - o/results/base__asks/10/exact/built.hdf5 <<'EOF' || fail "h5py reads something else"
import sys, h5py, numpy
f = h5py.File(sys.argv[1])
assert f.attrs["dataset"] == "base, asks" and f.attrs["count"] == 10 and f.attrs["batch_mode"] == False
assert f["times"].shape == (30,) and (f["times"][:] > 0).all()
assert f["neighbors"].shape == (30, 10) and f["neighbors"].dtype == numpy.int32
base = numpy.fromfile("base.u8bin", numpy.uint8)[8:].reshape(-1, 16).astype(float)
asks = numpy.fromfile("asks.u8bin", numpy.uint8)[8:].reshape(-1, 16).astype(float)
base /= numpy.linalg.norm(base, axis=1)[:, None]
asks /= numpy.linalg.norm(asks, axis=1)[:, None]
true = numpy.sort(1 - asks @ base.T, axis=1)[:, :10]
assert abs(true - f["distances"][:]).max() < 1e-5
EOF
    # What ann-benchmarks hands out, by both its distances.
    /usr/bin/python3 - <<'EOF'
import h5py, numpy
r = numpy.random.default_rng(1)
train, test = (r.normal(size=(n, 12)).astype("f") for n in (500, 40))
unit = lambda a: a / numpy.linalg.norm(a, axis=1)[:, None]
for name, apart in (("angular", 1 - unit(test) @ unit(train).T),
                    ("euclidean", numpy.linalg.norm(test[:, None] - train[None], axis=2))):
    with h5py.File(name + ".hdf5", "w") as f:
        f.attrs["type"], f.attrs["distance"] = "dense", name
        f["train"], f["test"] = train, test
        f["neighbors"] = numpy.argsort(apart, axis=1)[:, :20].astype("i")
        f["distances"] = numpy.sort(apart, axis=1)[:, :20].astype("f")
EOF
    quietly bench angular.hdf5 exact -o h --batches all
    grep -q '"set":"angular".*"distance":"angular","n":500,"dim":12,"queries":40,"changed":500,"agreement":1,' h/results.jsonl ||
        fail "an angular set: $(cat h/results.jsonl)"
    quietly bench euclidean.hdf5 exact -o h --batches all --rows 499
    grep -q '"distance":"euclidean","n":499,.*"agreement":null,' h/results.jsonl || fail "a Euclidean set: $(cat h/results.jsonl)"
    grep -q 'The file is meant for Euclidean distance' h/report.html || fail "the page keeps the change of the problem to itself"
    head -c 9000 angular.hdf5 >cut.hdf5
    refused 1 "cut.hdf5' is no HDF5 file, or it was cut off" bench cut.hdf5 exact -o h
else
    echo "bench: h5py is not there; HDF5 files were neither read nor written by it"
fi

# ---- again: nothing is measured twice ----
: >requests
sweep --batches 1,7,all
same "$(rows) $(asked build) $(asked search)" "9 0 0" "rows and requests when all is there"
quietly bench base.u8bin "mine: ./peer lists=8 / nprobe=1,4,8 depth=4" --queries asks.u8bin -o o --repeats 2 --batches 1 --keep
same "$(rows) $(asked build) $(asked search)" "10 1 3" "rows and requests for one more point"
: >requests
vectors 20 12000 >others.u8bin
quietly bench base.u8bin "mine: ./peer lists=8 / nprobe=2 depth=4" --queries others.u8bin -o o --batches 1 --keep
quietly bench base.u8bin "mine: ./peer lists=8 / nprobe=2 depth=4" --queries asks.u8bin -o o --repeats 2 --batches 1
same "$(rows) $(asked build) $(asked open)" "12 0 2" "a kept index is opened, for other queries too"
quietly bench base.u8bin "mine: ./peer lists=8 / nprobe=2 depth=4" --queries asks.u8bin -o o --batches 1 --again
same "$(rows)" 13 "measured again"
quietly bench base.u8bin "mine: ./peer lists=8 / nprobe=2 depth=4" --queries asks.u8bin -o o --batches 1 --json
same "$(grep -c '^{.*}$' out)" 11 "JSON lines: each measurement once, a new one for an old one"
rm o/report.html
quietly bench -o o
[ -s o/report.html ] || fail "no page from results alone"

# ---- killed in the middle: the next one goes on ----
cat >killer <<EOF
#!/usr/bin/env bash
while IFS= read -r line; do
    if [[ \$line = search* ]]; then
        echo search >>searches
        [ "\$(wc -l <searches)" -ne 5 ] || kill -9 \$PPID
    fi
    printf '%s\n' "\$line"
done | exec "$diptych" bench --serve faiss
EOF
chmod +x killer
killed() { "$diptych" bench base.u8bin "./killer lists=4 / nprobe=1,2,4" --queries asks.u8bin -o k --repeats 1 --batches 1 >out 2>err; }
: >searches
killed 2>/dev/null && fail "was not killed"
same "$(wc -l <k/results.jsonl)" 2 "rows before the kill"
killed || fail "after the kill: $(cat err)"
same "$(wc -l <k/results.jsonl) $(wc -l <searches)" "3 7" "rows and searches after the kill"

# ---- programs that misbehave: their line is told, the others are measured ----
cat >bad <<'EOF'
#!/usr/bin/env bash
printf 'ready\tprotocol=1\tengine=bad\tversion=0\tbuild=\tsearch=\n'
IFS= read -r line
case $1 in
    refuse) printf 'error\ttext=no memory today\n' && read -r line && exit ;;
    die) echo 'it is broken' >&2 && exit 3 ;;
    nonsense) printf 'built\tseconds=soon\tcpu=1\tbytes=1\n' && read -r line && exit ;;
esac
printf 'built\tseconds=1\tcpu=1\tbytes=10\n'
while IFS= read -r line; do
    out=${line##*out=}
    case $1 in
        short) printf '\1\0\0\0\1\0\0\0\0\0\0\0' >"$out.ibin" ;;
        range) { printf '\36\0\0\0\12\0\0\0' && head -c 1200 /dev/zero | tr '\0' '\1'; } >"$out.ibin" ;;
        fine) { printf '\36\0\0\0\12\0\0\0' && head -c 1200 /dev/zero; } >"$out.ibin" ;;
    esac
    { printf '\1\0\0\0\1\0\0\0' && printf '\0\0\200\77'; } >"$out.fbin"
    printf 'searched\tseconds=1\tcpu=%s\n' "${2:-1}"
done
EOF
chmod +x bad
misbehaves() { refused 1 "$2" bench base.u8bin "./bad $1" exact --queries asks.u8bin -o "m-${1%% *}" --batches all --repeats 1; }
misbehaves refuse 'bad: no memory today'
misbehaves die "ended without an answer: it is broken"
misbehaves nonsense "seconds=soon of 'built' is no number"
misbehaves short "bad wrote 1 x 1 values"
misbehaves range "names row 16843009 of 400"
grep -q '1 of 2 engines could not be measured' err || fail "said $(cat err)"
grep -q '"engine":"exact"' m-range/results.jsonl || fail "the others were not measured"
quietly bench base.u8bin "./bad fine 7" --queries asks.u8bin -o m-fine --batches all --repeats 1
grep -q 'used 7.0 processors in a search that was allowed 1' err || fail "threads that were not allowed: $(cat err)"
grep -q '"recall":0\.[01]' m-fine/results.jsonl || fail "one row as the answer to everything: $(cat m-fine/results.jsonl)"
refused 1 "cannot run 'no/such/peer'" bench base.u8bin no/such/peer --queries asks.u8bin -o m
refused 1 "does not speak protocol 1" bench base.u8bin "echo hello" --queries asks.u8bin -o m

# ---- Ctrl-C ----
cat >sleeper <<'EOF'
#!/usr/bin/env bash
printf 'ready\tprotocol=1\tengine=sleeper\tversion=0\n'
read -r line
echo $$ >sleeps
exec sleep 600
EOF
chmod +x sleeper
"$diptych" bench base.u8bin exact ./sleeper --queries asks.u8bin -o s --repeats 1 >out 2>err &
pid=$!
for _ in $(seq 200); do [ -s sleeps ] && break || sleep 0.05; done
kill -INT $pid
code=0
wait $pid || code=$?
same $code 130 "exit status after Ctrl-C"
grep -q 'stopped; what was finished is kept' err || fail "after Ctrl-C: said $(cat err)"
! kill -0 "$(cat sleeps)" 2>/dev/null || fail "the program outlives the comparison"
grep -q '"engine":"exact"' s/results.jsonl || fail "what was measured before Ctrl-C is lost"
[ -s s/report.html ] || fail "no page after Ctrl-C"

# ---- a file of engines, and a third of them ----
printf '# engines\n\nexact   # the truth\nfaiss lists=4 / nprobe=4\nnative lists=4 / nprobe=4\n' >plan
quietly bench base.u8bin --plan plan --queries asks.u8bin -o p --batches all --repeats 1
same "$(grep -o '"engine":"[a-z]*"' p/results.jsonl | tr '\n' ' ')" '"engine":"exact" "engine":"faiss" "engine":"native" ' "engines of the plan"

# ---- mistakes ----
refused 2 "--batches '0' is not a list" bench base.u8bin --queries asks.u8bin --batches 0
refused 2 "holds no queries" bench base.u8bin -o e
refused 1 "'none.fvecs'" bench none.fvecs --queries asks.u8bin -o e
refused 1 "names no known format" bench peer --queries asks.u8bin -o e
refused 2 "lower -k" bench base.u8bin --queries asks.u8bin -k 500 -o e
refused 1 "there are no measurements" bench -o e
refused 2 "there is no engine 'fast'" bench --serve fast
head -c 1000 base.u8bin >cut.u8bin
refused 1 "it was cut off" bench cut.u8bin --queries asks.u8bin -o e

# ---- an archive: from one modality to another, and to itself ----
quietly simulate a --places 60 --size 32
quietly train a --epochs 1 --batch 8 --input-px 32 --widths 32,64 --blocks 1,1 --embed-dim 32
quietly encode a
quietly bench a exact --base s2 --queries s1 -o x --batches all -k 5
quietly bench a exact --base s2 --queries s2 -o x --batches all -k 5
same "$(grep -c '"n":60,"dim":[0-9]*,"queries":60,' x/results.jsonl)" 1 "from radar to optical"
same "$(grep -c '"n":30,"dim":[0-9]*,"queries":30,' x/results.jsonl)" 1 "of one modality half asks"
refused 2 "an archive needs --base and --queries" bench a -o x
refused 1 "there is no modality 's9'" bench a --base s9 --queries s1 -o x

# ---- real descriptors ----
if [ -f "$data/ann/base_10k.fvecs" ]; then
    quietly bench "$data/ann/base_10k.fvecs" "faiss lists=32 / nprobe=32 depth=32" --queries "$data/ann/query_sar_ood.bvecs" -o r --repeats 1
    grep -Eq '"n":10000,"dim":128,"queries":1000,.*"recall":(1|0\.99)' r/results.jsonl || fail "recall of real descriptors: $(cat r/results.jsonl)"
else
    echo "bench: no real descriptors; set DIPTYCH_DATA"
fi
echo "bench: all as it should be"
