#!/usr/bin/env bash
# Run the image on one case the way Grand-Challenge does, and check what it writes; then see it refuse bad input.
#
#   test/run_container.sh [CASE]   a platform input folder or a TrackRAD2025 case; default: the shipped example
#   MODEL=FOLDER                   a model bundle, mounted at /opt/ml/model as an uploaded model is
#   IMAGE, CONTAINER_ENGINE, ...   see test/container_engine.sh
#
# No network, read-only root, not root, read-only input, and /output and /tmp the only places to write to.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/test/container_engine.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

case_folder=${1:-}
if [[ -z $case_folder ]]; then
    case_folder=$(find "$root/examples/data" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort | head -n 1)
    [[ -n $case_folder ]] || fail "$root/examples/data: expected the shipped example case, found none"
fi
[[ -d $case_folder ]] || fail "$case_folder: expected a folder with a case, found none"
case_folder=$(cd "$case_folder" && pwd)

"${ENGINE[@]}" image inspect "$IMAGE" >/dev/null 2>&1 || fail "image $IMAGE: expected it built, found none; run ./build.sh"
user=$("${ENGINE[@]}" image inspect --format '{{.Config.User}}' "$IMAGE")
[[ -n $user && $user != root && $user != 0 ]] || fail "image $IMAGE: expected a user other than root, found '$user'"

# A folder that the container's user may write to whatever its number is here.
open_folder() {
    mkdir -p "$1"
    chmod 1777 "$1"
}

isolated() { # isolated FLAG... : the image with the platform's restrictions
    "${ENGINE[@]}" run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges \
        --shm-size 128m "${RUN_FLAGS[@]}" --volume "$scratch/tmp:/tmp" "$@"
}

track() { # track INPUT OUTPUT : the image's own entry point
    local flags=(--volume "$1:/input:ro" --volume "$2:/output")
    if [[ -n ${MODEL:-} ]]; then
        flags+=(--volume "$(cd "$MODEL" && pwd):/opt/ml/model:ro")
    fi
    isolated "${GPU_FLAGS[@]}" "${MEMORY_FLAGS[@]}" "${flags[@]}" "$IMAGE"
}

refuses() { # refuses WHAT INPUT : exit code 2, one line on stderr, nothing written
    local status=0 output="$scratch/refused" errors="$scratch/refused.log"
    rm -rf "$output" && open_folder "$output"
    track "$2" "$output" >/dev/null 2>"$errors" || status=$?
    if [[ $status != 2 || $(wc -l <"$errors") != 1 || -n $(ls -A "$output") ]]; then
        cat "$errors" >&2
        echo "error: $1: expected exit code 2, one line and no output, found $status and $(ls -A "$output")" >&2
        exit 1
    fi
    echo "refused $1: $(cat "$errors")"
}

open_folder "$scratch/tmp"
open_folder "$scratch/output"
input="$scratch/input"
open_folder "$input"
if [[ -d $case_folder/images/mri-linacs ]]; then
    cp -r "$case_folder/." "$input"
    chmod -R a+rX "$input" # the platform's input is readable by any user
else
    isolated --volume "$root/test:/checks:ro" --volume "$case_folder:/case/$(basename "$case_folder"):ro" \
        --volume "$input:/made" --env PYTHONPATH=/opt/cinetrack --entrypoint python "$IMAGE" \
        /checks/make_platform_input.py "/case/$(basename "$case_folder")" /made
fi

started=$SECONDS
track "$input" "$scratch/output"
echo "the container took $((SECONDS - started)) s"
isolated --volume "$root/test:/checks:ro" --volume "$input:/input:ro" --volume "$scratch/output:/output:ro" \
    --entrypoint python "$IMAGE" /checks/check_output.py /input /output
echo "the output is as it should be: shape, type, values, geometry, frame 0, and no other file"

cp -r "$input" "$scratch/no-rate"
rm -f "$scratch/no-rate/frame-rate.json"
refuses "a case without frame-rate.json" "$scratch/no-rate"

cp -r "$input" "$scratch/truncated"
truncate --size -200 "$scratch/truncated/images/mri-linacs"/*
refuses "a truncated series" "$scratch/truncated"
