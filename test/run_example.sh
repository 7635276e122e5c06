#!/usr/bin/env bash
# Track and score the shipped example: the default bundle beside registration and the static baseline.
#
# Writes to output/example: masks (<bundle>/<case>/...), metrics (<bundle>.json), overlay.png and table.md.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
test/set_up.sh

out=output/example
rm -rf "$out"
mkdir -p "$out"
for bundle in default registration static; do
    .venv/bin/cinetrack predict examples/data -o "$out/$bundle" --model "$bundle"
    .venv/bin/cinetrack evaluate "$out/$bundle" --truth examples/data --output "$out/$bundle.json" >/dev/null
done
case=$(basename "$(find examples/data -mindepth 1 -maxdepth 1 -type d | sort | head -n 1)")
.venv/bin/cinetrack overlay "examples/data/$case" --prediction "$out/default" -o "$out/overlay.png" >/dev/null
.venv/bin/python test/example_table.py "$out" | tee "$out/table.md"
echo
echo "masks, metrics and overlay.png are in $out"
