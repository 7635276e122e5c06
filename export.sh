#!/usr/bin/env bash
# Write the two files that Grand-Challenge takes: the image (cinetrack.tar.gz) and a model bundle (model.tar.gz).
#
#   ./export.sh [BUNDLE]   default: resources/default
#   IMAGE, CONTAINER_ENGINE, ...   see test/container_engine.sh
#
# Build the image first (./build.sh). The platform unpacks the model at /opt/ml/model, where it comes before the
# bundle in the image. Files are written under a temporary name and renamed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$root/test/container_engine.sh"

bundle=${1:-$root/resources/default}
[[ -f $bundle/bundle.json ]] || fail "$bundle/bundle.json: expected a model bundle, found none"
"${ENGINE[@]}" image inspect "$IMAGE" >/dev/null 2>&1 || fail "image $IMAGE: expected it built, found none; run ./build.sh"

compress=(gzip)
if command -v pigz >/dev/null; then
    compress=(pigz)
fi
trap 'rm -f "$root/model.tar.gz.part" "$root/cinetrack.tar.gz.part"' EXIT

tar -C "$bundle" -cf - . | "${compress[@]}" >"$root/model.tar.gz.part"
mv "$root/model.tar.gz.part" "$root/model.tar.gz"
"${ENGINE[@]}" save "$IMAGE" | "${compress[@]}" >"$root/cinetrack.tar.gz.part"
mv "$root/cinetrack.tar.gz.part" "$root/cinetrack.tar.gz"
ls -lh "$root/model.tar.gz" "$root/cinetrack.tar.gz"
