#!/usr/bin/env bash
# Build what a release consists of into dist/: wheel, source archive, container image, model bundle and checksums.
#
#   ./release.sh                   everything
#   ./release.sh --without-image   no container image; for trying out
#
# The version is __version__ in cinetrack/__init__.py. Nothing is uploaded or tagged: docs/how-to/make-a-release.md says
# what comes before and after.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "error: $*" >&2
    exit 2
}

with_image=true
if [[ ${1:-} == --without-image ]]; then
    with_image=false
elif (($#)); then
    fail "release.sh: expected --without-image or nothing, found $*"
fi

version=$(sed -nE 's/^__version__ = "([^"]+)".*/\1/p' cinetrack/__init__.py)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "cinetrack/__init__.py: expected a version as 1.2.3, found $version"
grep -q "^## \[$version\] - [0-9-]*$" CHANGELOG.md || fail "CHANGELOG.md: expected a heading '## [$version] - DATE', found none"
[[ -z $(git status --porcelain) ]] || fail "the clone: expected every change committed, found $(git status --porcelain | head -n 1)"

rm -rf dist
OUT=$PWD/dist test/check_wheel.sh --reuse
if $with_image; then
    ./build.sh
    test/run_container.sh
    ./export.sh
    mv cinetrack.tar.gz "dist/cinetrack-$version-image.tar.gz"
    mv model.tar.gz "dist/cinetrack-$version-model.tar.gz"
fi
(cd dist && sha256sum -- * >../SHA256SUMS.part && mv ../SHA256SUMS.part SHA256SUMS)
ls -l dist
