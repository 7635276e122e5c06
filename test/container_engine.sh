# shellcheck shell=bash
# Sourced by build.sh, export.sh and test/run_container.sh: which container engine runs, and with which flags.
#
#   CONTAINER_ENGINE        docker or podman; by default docker where its daemon answers, else podman
#   CONTAINER_GLOBAL_FLAGS  words put before the engine's subcommand    } each replaces what is
#   CONTAINER_BUILD_FLAGS   words added to `build`                      } worked out below;
#   CONTAINER_RUN_FLAGS     words added to `run`                        } set to "" for none
#   IMAGE                   the image's name, by default cinetrack
#
# Sets the array ENGINE (the engine with its global flags), BUILD_FLAGS, RUN_FLAGS and IMAGE.

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
if [[ $CONTAINER_ENGINE == podman ]]; then
    # Mixed cgroup versions without systemd (virtual machines made for CI): crun and the systemd manager refuse them.
    if [[ -d /sys/fs/cgroup/unified && ! -d /run/systemd/system ]]; then
        global_flags="--cgroup-manager cgroupfs --runtime runc"
        build_flags="--isolation chroot"
    fi
    # A root without CAP_SYS_RESOURCE (bit 24) cannot raise its limits to the ones podman gives a container.
    if ((EUID == 0 && (0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 24 & 1) == 0)); then
        run_flags="--ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
    fi
fi
read -ra global_flags <<<"${CONTAINER_GLOBAL_FLAGS-$global_flags}"
# shellcheck disable=SC2034  # read by the scripts that source this file
read -ra BUILD_FLAGS <<<"${CONTAINER_BUILD_FLAGS-$build_flags}"
# shellcheck disable=SC2034
read -ra RUN_FLAGS <<<"${CONTAINER_RUN_FLAGS-$run_flags}"
# shellcheck disable=SC2034
ENGINE=("$CONTAINER_ENGINE" "${global_flags[@]}")
