#!/usr/bin/env bash
# align: two models that know nothing of each other, as models of the archive and as .npy files from outside. The aligned model
# is used by index, query, eval, info, verify and export like any other. numpy reads and checks what is written.
# ctest: no-tsan
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-align-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "align: $*" >&2
    exit 1
}
run() { "$diptych" "$@" >out 2>err || fail "$* failed: $(cat err)"; }
refuse() { # code, words of the line, command
    local code=$1 says=$2 got=0
    shift 2
    "$diptych" "$@" >out 2>err || got=$?
    [ $got -eq "$code" ] || fail "$* ended with $got: $(cat out err)"
    grep -qF -- "$says" err || fail "$* said: $(cat err)"
}
small=(--epochs 2 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1)

run simulate a --places 120 --size 32
run train a --name one --seed 1 "${small[@]}" --embed-dim 32
run train a --name two --seed 2 "${small[@]}" --embed-dim 64
run encode a -m one
refuse 1 "diptych encode -m two" align a s1=one s2=two
run encode a -m two

# ---- models of the archive ----
quick=(--steps 80 --batch 32 --embed-dim 32)
run align a s1=one s2=two "${quick[@]}" --json
grep -q '"model":"aligned","already":false' out || fail "said: $(cat out)"
grep -q '"stored":240,"present":0' out || fail "said: $(cat out)"
run align a s1=one s2=two "${quick[@]}" --json
grep -q '"already":true.*"stored":0,"present":240' out || fail "said: $(cat out)"
run info a --json
run index a -m aligned
run eval a -m aligned --json --resamples 0 -k 5
grep -q '"direction":"s1 -> s2"\|"from":"s1","to":"s2"' out || fail "eval said: $(head -c 300 out)"
run query a s1/sim1-000003 --to s2 -k 3
run export a -m aligned --what tiles --out tiles
run query a tiles/tiles/s1/sim1-000003.tif --from s1 --to s2 -k 3
run report a aligned --output page.html
grep -q '>80</b><span>steps<' page.html || fail "the page does not tell the steps"
grep -q 'diptych align ARCHIVE MODALITY=VECTORS... --steps 80 --batch 32 ' page.html || fail "the page has another command"
grep -q 'class="differs"><td><code>--eval-every' page.html && fail "the page calls a default another value"
grep -q 'of nan' page.html && fail "the page has a figure that is none"
run verify a
run encode a -m aligned
grep -q "0 tiles encoded" out || fail "said: $(cat out)"

# ---- the same vectors from outside ----
run export a -m one --what embeddings --out e1
run export a -m two --what embeddings --out e2
run align a --name outside s1=e1/embeddings/s1.npy s2=e2/embeddings/s2.npy "${quick[@]}" --output "s1=o1.npy;s2=o2.npy"
cp e1/embeddings/s1.npy moved.npy
run align a --name outside s1=moved.npy s2=e2/embeddings/s2.npy "${quick[@]}" --json
grep -q '"model":"outside","already":true' out || fail "a renamed file is another run: $(cat out)"
run index a -m outside
run query a s1/sim1-000003 --to s2 -k 3
run verify a
refuse 1 "another program" query a tiles/tiles/s1/sim1-000003.tif --from s1 --to s2
refuse 1 "another program" encode a -m outside --force
refuse 2 "given twice" align a s1=one s1=two
refuse 2 "not MODALITY=VECTORS" align a s1=one two
refuse 2 "two modalities" align a s1=one
refuse 2 "--output" align a s1=one s2=two --output o.npy
refuse 2 "--ids: 's3=x'" align a s1=one s2=two --ids "s3=x"
refuse 1 "none.npy" align a s1=none.npy s2=two

# ---- an archive without a pixel: metadata and vectors alone ----
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "path") p = i } { if (NR > 1) $p = ""; print }' OFS=, tiles/tiles/manifest.csv >bare.csv
run import bare bare.csv
run verify bare
run info bare
refuse 1 "no pixels to learn from" train bare
run align bare s1=e1/embeddings/s1.npy s2=e2/embeddings/s2.npy "${quick[@]}" --output s1=bare1.npy
cmp o1.npy bare1.npy || fail "without pixels the heads came out differently"
run index bare
run query bare s1/sim1-000003 --to s2 -k 3 --html sheet.html
run eval bare --resamples 0 -k 5
run verify bare
run export bare --out again
run import back again/tiles/manifest.csv
run export back --what metadata --out twice
cmp again/metadata.csv twice/metadata.csv || fail "export and import lost something of tiles without pixels"

# ---- heads that are there, on other rows: the same vector comes out ----
tail -n +2 e1/embeddings/s1.csv | cut -d, -f2 >names
run align a --apply outside s1=e1/embeddings/s1.npy --ids s1=names --output s1=again.npy
cmp o1.npy again.npy || fail "--apply gave other vectors than the run itself"
refuse 1 "takes" align a --apply outside s1=e2/embeddings/s2.npy --ids s1=names

python=
for candidate in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$candidate" -c 'import numpy' 2>/dev/null || python=$candidate
done
[ -n "$python" ] || { echo "align: skipped where numpy is needed; the rest is sound"; exit 77; }
run export a -m outside --what embeddings --out e3
"$python" - <<'END'
import numpy
out = [numpy.load(f'o{i}.npy') for i in (1, 2)]
for i, a in enumerate(out, 1):
    assert a.dtype == numpy.float32 and a.shape == (120, 32), a.shape
    assert abs(numpy.linalg.norm(a, axis=1) - 1).max() < 1e-5
    stored = numpy.load(f'e3/embeddings/s{i}.npy')
    assert abs(a - stored).max() < 1e-3
first, second = numpy.load('e1/embeddings/s1.npy'), numpy.load('e2/embeddings/s2.npy')
# Half precision, rows in another order, a part of the tiles.
order = numpy.random.default_rng(1).permutation(120)[:90]
names = open('names').read().split()
numpy.save('half.npy', first[order].astype('<f2'))
open('half.txt', 'w').write(''.join(names[i] + '\n' for i in order))
numpy.save('probe.npy', first[3])
numpy.save('probes.npy', first[3:5])
numpy.save('columns.npy', numpy.asfortranarray(first))
first[17, 3] = numpy.nan
numpy.save('nan.npy', first)
END
# A vector from outside finds what the stored tile finds; an aligned one is asked as it is.
run query a "s1/$(sed -n 4p names)" --to s2 -k 5 --json
grep -o '"tile":"[^"]*"\|"id":[0-9]*' out >expected
run query a probe.npy --from s1 --to s2 -k 5 --json --html sheet.html
grep -o '"tile":"[^"]*"\|"id":[0-9]*' out >found
tail -5 expected >e5 && tail -5 found >f5 && cmp e5 f5 || fail "a vector found $(cat found), its tile $(cat expected)"
refuse 1 "has 96 values, embeddings of model outside have 32; its heads take 96 of s1, 128 of s2" query a probe.npy --from s2
refuse 1 "2 vectors" query a probes.npy --from s1
run align a --apply outside s1=half.npy --ids s1=half.txt --output s1=part.npy
"$python" - <<'END'
import numpy
order = numpy.random.default_rng(1).permutation(120)[:90]
assert abs(numpy.load('part.npy') - numpy.load('o1.npy')[order]).max() < 0.02
END
refuse 1 "row 17 " align a --name bad s1=nan.npy s2=two
refuse 1 "ascontiguousarray" align a --name bad s1=columns.npy s2=two
[ ! -e a/runs/bad ] || fail "a refused alignment left a run behind"
