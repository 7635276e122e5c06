#!/usr/bin/env bash
# Print the name of a base image for build.sh: the published one, or where no registry can be reached a stand-in that
# debootstrap makes of the same Debian release with its own Python 3.11.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/test/container_engine.sh"

published=docker.io/library/python:3.11-slim-bookworm
stand_in=localhost/bookworm-python:3.11

for image in "$published" "$stand_in"; do
    if "${ENGINE[@]}" image inspect "$image" >/dev/null 2>&1; then
        echo "$image"
        exit
    fi
done
if timeout 300 "${ENGINE[@]}" pull --quiet "$published" >&2; then
    echo "$published"
    exit
fi

echo "no registry: making $stand_in with debootstrap" >&2
rootfs=$(mktemp -d)
trap 'rm -rf "$rootfs"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$rootfs" >&2
tar -C "$rootfs" --exclude='./var/cache/apt/archives/*' --exclude='./var/lib/apt/lists/*' -c . |
    "${ENGINE[@]}" import - "$stand_in" >&2
echo "$stand_in"
