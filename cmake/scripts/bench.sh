#!/usr/bin/env bash
# Measures training at demo size on this machine: samples/s of one and of two CPU ranks of one thread each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
limewash=build/release/launcher/limewash
work=build/bench
mkdir -p "$work"
[ -d "$work/rooms" ] || "$limewash" synthesize --out "$work/rooms" --count 64 --size 128 --seed 3
"$limewash" prepare --images "$work/rooms/images" --masks "$work/rooms/masks" --out "$work/dataset" --size 128 >/dev/null
for trainers in 1 2; do
  "$limewash" launch --config configs/demo.yaml --overwrite --json \
    --set data.train="$work/dataset" --set data.validation="" --set run.output="$work/runs" --set run.threads=1 \
    --set run.name="trainers-$trainers" --set launch.trainers="$trainers" --set training.steps=60 2>/dev/null |
    sed -E "s/.*\"samples_per_second\":([0-9.]+).*/$trainers trainer rank(s): \1 samples\/s/"
done
