# shellcheck shell=bash
# Sourced by build.sh, export.sh and test/run_container.sh: which container engine runs, and with which flags.
#
#   CONTAINER_ENGINE        docker or podman; by default docker where its daemon answers, else podman
#   CONTAINER_GLOBAL_FLAGS  words put before the engine's subcommand    } each replaces what is
#   CONTAINER_BUILD_FLAGS   words added to `build`                      } worked out below;
#   CONTAINER_RUN_FLAGS     words added to `run`                        } set to "" for none
#   IMAGE                   the image's name, by default cinetrack
#
# Sets IMAGE and the arrays ENGINE (the engine with its global flags), BUILD_FLAGS, RUN_FLAGS, GPU_FLAGS (empty without
# a working GPU) and MEMORY_FLAGS (empty where this user may not limit memory).
# shellcheck disable=SC2034  # they are read by the scripts that source this file

fail() {
    echo "error: $*" >&2
    exit 2
}

IMAGE=${IMAGE:-cinetrack}

if [[ -z ${CONTAINER_ENGINE:-} ]]; then
    if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
        CONTAINER_ENGINE=docker
    elif command -v podman >/dev/null; then
        CONTAINER_ENGINE=podman
    else
        fail "no container engine: expected docker with its daemon running, or podman, found neither"
    fi
fi
command -v "$CONTAINER_ENGINE" >/dev/null || fail "CONTAINER_ENGINE: expected an installed engine, found $CONTAINER_ENGINE"

global_flags=""
build_flags=""
run_flags=""
GPU_FLAGS=()
MEMORY_FLAGS=(--memory 32g)
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    GPU_FLAGS=(--gpus all)
fi
if ((EUID != 0)); then
    run_flags="--user $(id -u):$(id -g)" # so that the caller owns what the container writes
fi
if [[ $CONTAINER_ENGINE == podman ]]; then
    if ((${#GPU_FLAGS[@]})); then
        GPU_FLAGS=(--device nvidia.com/gpu=all)
    fi
    # Mixed cgroup versions without systemd (virtual machines made for CI): crun and the systemd manager refuse them.
    if [[ -d /sys/fs/cgroup/unified && ! -d /run/systemd/system ]]; then
        global_flags="--cgroup-manager cgroupfs --runtime runc"
        build_flags="--isolation chroot"
    fi
    if ((EUID != 0)); then
        run_flags+=" --userns keep-id"
        [[ -f /sys/fs/cgroup/cgroup.controllers ]] || MEMORY_FLAGS=() # needs cgroup version 2
    # A root without CAP_SYS_RESOURCE (bit 24) cannot raise its limits to the ones podman gives a container.
    elif (((0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 24 & 1) == 0)); then
        run_flags+=" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
    fi
fi
read -ra global_flags <<<"${CONTAINER_GLOBAL_FLAGS-$global_flags}"
read -ra BUILD_FLAGS <<<"${CONTAINER_BUILD_FLAGS-$build_flags}"
read -ra RUN_FLAGS <<<"${CONTAINER_RUN_FLAGS-$run_flags}"
ENGINE=("$CONTAINER_ENGINE" "${global_flags[@]}")
