#!/usr/bin/env bash
# PyTorch writes the weights of a ResNet-18 and of a small net of bottlenecks in half-precision formats, `diptych train --init
# --epochs 0` makes models of them; the models' tensors and the embeddings of an archive's tiles must be PyTorch's own.
# ctest: no-tsan
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
"$python" -c 'import numpy, torch' 2>/dev/null || { echo "skipped: python3-torch and python3-numpy are not there"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-init-XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONPATH="$here/reference" OMP_NUM_THREADS=1

"$python" - "$work" <<'EOF'
import sys
import numpy as np
import torch
from resnet import ResNet, fill, noise, write_safetensors
work = sys.argv[1]
with torch.no_grad():
    for net, kind in (("resnet18", "F16"), ("tiny50", "BF16")):
        for bands, name in ((2, "s1"), (10, "s2")):
            model = ResNet(net, bands)
            fill(model, f"{net}.{bands}.")
            tensors = {"model.vision_encoder." + key: value for key, value in model.state_dict().items()}
            write_safetensors(f"{work}/{net}-{kind}-{name}.safetensors", tensors, kind)
# Raw images with a header in text, as GDAL's ENVI driver reads them.
manifest = ["tile_id,modality,path"]
for tile in range(6):
    s1, s2 = (mean + spread * (noise(tile, bands * 64 * 64).reshape(bands, -1) + 2 * noise(tile + 9, bands)[:, None])
              for bands, mean, spread in ((2, -14, 4), (10, 2000, 600)))
    for name, values, bands, code in (("s1", s1.numpy(), 2, 4), ("s2", s2.numpy().astype("<u2"), 10, 12)):
        path = f"{work}/{name}-{tile}.img"
        values.tofile(path)
        with open(path[:-4] + ".hdr", "w") as header:
            header.write(f"ENVI\nsamples = 64\nlines = 64\nbands = {bands}\nheader offset = 0\nfile type = ENVI Standard\n"
                         f"data type = {code}\ninterleave = bsq\nbyte order = 0\n")
        manifest.append(f"tile{tile},{name},{path}")
open(f"{work}/manifest.csv", "w").write("\n".join(manifest) + "\n")
EOF

"$DIPTYCH" import "$work/archive" "$work/manifest.csv" -q \
    --bands "s1=VV,VH;s2=B02,B03,B04,B05,B06,B07,B08,B8A,B11,B12" --units "s1=dB;s2=reflectance"
for net in resnet18-F16 tiny50-BF16; do
    # The channels of s1 come in another order than the archive's bands, those of s2 as a published set.
    "$DIPTYCH" train "$work/archive" --name "$net" --epochs 0 --input-px 64 --batch 2 --embed-h-form unit -q \
        --init "s1=$work/$net-s1.safetensors,s2=$work/$net-s2.safetensors" \
        --init-bands "s1=VH,VV;s2=bigearthnet-s2" >"$work/log"
    "$DIPTYCH" encode "$work/archive" -m "$net" -q
    "$DIPTYCH" export "$work/archive" -m "$net" --what embeddings -o "$work/$net" -q
done

"$python" - "$work" <<'EOF'
import csv
import json
import struct
import sys
import numpy as np
import torch
from resnet import ResNet, read_safetensors
work, order = sys.argv[1], [1, 0]  # channel of the file that shows VV, VH


def metadata(path):
    raw = open(path, "rb").read()
    header = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
    return {m["name"]: m["bands"] for m in json.loads(header["modalities"])}


def as_floats(path, kind):
    """The tensors of a file of ours, in float32."""
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if entry["dtype"] != kind:
            continue
        begin, end = (8 + size + at for at in entry["data_offsets"])
        bits = np.frombuffer(raw[begin:end], {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[kind])
        if kind == "BF16":
            bits = (bits.astype("<u4") << 16).view("<f4")
        out[name.split("vision_encoder.")[1]] = bits.astype("<f4").reshape(entry["shape"])
    return out


def main():
    for net, kind in (("resnet18", "F16"), ("tiny50", "BF16")):
        path = f"{work}/archive/models/{net}-{kind}.safetensors"
        loaded, statistics = read_safetensors(path), metadata(path)
        for bands, name in ((2, "s1"), (10, "s2")):
            written = as_floats(f"{work}/{net}-{kind}-{name}.safetensors", kind)
            model = ResNet(net, bands).eval()
            model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in written.items()}, strict=False)
            count = 0
            for key, value in written.items():
                if key.startswith("fc."):
                    continue
                if key == "conv1.weight" and name == "s1":
                    value = value[:, order]
                assert np.array_equal(loaded[f"{name}.{key}"], value), (net, kind, name, key)
                count += 1
            assert count == sum(k.startswith(name + ".") and ".head." not in k and ".embedding." not in k for k in loaded)
            if name == "s2":
                assert statistics["s2"][0]["mean"] == 438.3720703 and statistics["s2"][9]["stddev"] == 813.5276489
            rows = list(csv.DictReader(open(f"{work}/{net}-{kind}/embeddings/{name}.csv")))
            ours = np.load(f"{work}/{net}-{kind}/embeddings/{name}.npy")
            assert ours.shape == (6, 512), ours.shape
            mean = np.array([b["mean"] for b in statistics[name]])[:, None, None]
            deviation = np.array([b["stddev"] for b in statistics[name]])[:, None, None]
            assert np.linalg.norm(ours[0] - ours[1]) > 0.1  # tiles differ by more than is allowed below
            for row, vector in zip(rows, ours):
                tile = row["tile_id"][4:]
                pixels = np.fromfile(f"{work}/{name}-{tile}.img", "<f4" if name == "s1" else "<u2")
                x = (pixels.reshape(bands, 64, 64) - mean) / deviation
                x = torch.from_numpy((x[order] if name == "s1" else x).astype("f4"))[None]
                h = model(x)[0].numpy()
                off = np.linalg.norm(vector - h / np.linalg.norm(h))
                assert off < 0.01, (net, kind, name, tile, off)
            print(f"{net} {kind} {name}: {count} tensors equal, embeddings within 0.01")


with torch.no_grad():
    main()
EOF
