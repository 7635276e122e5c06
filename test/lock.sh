#!/usr/bin/env bash
# Write the requirements files: every package's version and the sha256 of its published files, resolved by uv.
#
#   test/lock.sh                       keep the pins where pyproject.toml still allows them, and add what is missing
#   test/lock.sh --upgrade             move every pin to the newest version that pyproject.toml allows
#   test/lock.sh --upgrade-package P   move one
#
# Each file holds the one before it, so that they can be installed one after another:
#
#   requirements-torch.txt  pip's own tools, torch and torchvision: a container layer of its own; sam2 builds against them
#   requirements.txt        all that the library needs at run time, which is what the container has
#   requirements-test.txt   the extras too: labelling app, training, tests, checks and documentation
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

first=$(mktemp --suffix .in)
trap 'rm -f "$first"' EXIT
printf '%s\n' pip setuptools wheel torch torchvision >"$first"

# For every platform and Python that is supported, and for none of this machine's package indexes in particular.
lock() { # lock FILE WORD... : resolve the words into FILE
    .venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command test/lock.sh --output-file "$1" "${@:2}"
}
lock requirements-test.txt "$first" pyproject.toml --all-extras "$@"
lock requirements.txt "$first" pyproject.toml --constraint requirements-test.txt
lock requirements-torch.txt "$first" --constraint requirements.txt
