#!/usr/bin/env bash
# Build the container image.
#
#   CONTAINER_ENGINE, CONTAINER_BUILD_FLAGS, IMAGE   see test/container_engine.sh
#   BASE_IMAGE                                       another base with Python 3.11
#
# pip's settings on this machine (index, links, certificate) are mounted while packages are installed. Nothing of them
# stays in the image but the empty folders that local package folders were mounted on, /mnt/pip-N.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source test/container_engine.sh

[[ -f resources/default/bundle.json ]] || fail "resources/default/bundle.json: expected the default model bundle, found none"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# "key value" for the settings that say where packages come from; the environment's override the files'.
pip_settings() {
    command -v python3 >/dev/null || return 0
    python3 -m pip config list 2>/dev/null |
        sed -nE "s/^(global|install|user|site|:env:)\.(index-url|extra-index-url|find-links|trusted-host|proxy|cert)='(.*)'$/\2 \3/p" |
        awk '{ key = $1; sub(/^[^ ]+ /, ""); gsub(/\\n/, " "); value[key] = $0 } END { for (key in value) print key, value[key] }'
}

flags=("${BUILD_FLAGS[@]}")
certificate=${SSL_CERT_FILE:-}
mounts=0
echo "[global]" >"$scratch/pip.conf"
while read -r key value; do
    if [[ $key == cert ]]; then
        certificate=$value
        continue
    fi
    line="$key ="
    for place in $value; do
        case $place in
            file://*) folder=$(dirname "${place#file://}") ;; # an index's links lead to a folder beside it
            /*) folder=$place ;;
            *) folder="" ;;
        esac
        if [[ -d $folder && $folder != / ]]; then
            [[ $CONTAINER_ENGINE == podman ]] ||
                fail "pip's $key: docker build cannot mount $folder; use podman or an http index"
            mount=/mnt/pip-$((mounts++))
            flags+=(--volume "$folder:$mount:ro")
            place=${place/"$folder"/"$mount"}
        fi
        line+=" $place"
    done
    echo "$line" >>"$scratch/pip.conf"
done < <(pip_settings)
if [[ -f $certificate ]]; then
    echo "cert = /run/secrets/ca_bundle" >>"$scratch/pip.conf"
    flags+=(--secret "id=ca_bundle,src=$certificate")
fi
flags+=(--secret "id=pip_conf,src=$scratch/pip.conf")
if [[ -n ${BASE_IMAGE:-} ]]; then
    flags+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
fi

DOCKER_BUILDKIT=1 "${ENGINE[@]}" build "${flags[@]}" --tag "$IMAGE" .
echo "built $IMAGE with $CONTAINER_ENGINE" >&2
