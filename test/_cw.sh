#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, and use it from another folder as a stranger would.
#
#   test/check_wheel.sh            installs the wheel and everything it asks for: some 8 GB from the package index
#   test/check_wheel.sh --reuse    installs the wheel alone (--no-deps) into an environment that is empty but for a path
#                                  to the packages pinned in .venv; this is what CI does
#   OUT=FOLDER                     keep the wheel there
#
# Checked: every file of the package and the three shipped bundles are in the wheel; `cinetrack predict` by a bundle's
# name gives the masks that the clone's command gives; evaluate, report and the labelling app's files are there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
:

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
out=${OUT:-$scratch/dist}
mkdir -p "$out"

# From a copy of the tracked files, so that nothing that lies about in the clone can help or get in.
mkdir "$scratch/source"
git ls-files -z | xargs -0 cp --parents --target-directory "$scratch/source"
.venv/bin/python -m build --no-isolation --outdir "$out" "$scratch/source" >"$scratch/build.log" 2>&1 ||
    { cat "$scratch/build.log" >&2 && exit 1; }
wheel=$(find "$out" -name 'cinetrack-*.whl' -newer "$scratch/source" -print -quit)
[[ -n $wheel ]] || { echo "error: $out: expected a wheel, found none" >&2 && exit 1; }
.venv/bin/python test/wheel_contents.py "$wheel"

python=$scratch/empty/bin/python
.venv/bin/python -m venv "$scratch/empty"
if [[ ${1:-} == --reuse ]]; then
    pinned=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    mine=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index "$wheel"
    echo "$pinned" >"$mine/pinned_dependencies.pth" # a path alone: the editable installation there is not followed
else
    "$python" -m pip install --quiet --disable-pip-version-check "$wheel"
    "$python" -m pip check
fi

mkdir "$scratch/elsewhere"
cd "$scratch/elsewhere"
unset PYTHONPATH
found=$("$python" -c 'import cinetrack; print(cinetrack.__file__)')
[[ $found == "$scratch/empty/"* ]] || { echo "error: expected the wheel's package, found $found" >&2 && exit 1; }

cp -r "$root/examples/data" data
quietly() { # quietly COMMAND... : its output only where it fails
    "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2 && exit 1; }
}
masks=images/mri-linac-series-targets/output.mha
for model in default registration static; do
    quietly "$scratch/empty/bin/cinetrack" predict data -o "wheel/$model" --model "$model"
    quietly env PYTHONPATH="$root" "$root/.venv/bin/cinetrack" predict data -o "clone/$model" --model "$root/resources/$model"
    for case in clone/"$model"/*/; do
        cmp "wheel/$model/$(basename "$case")/$masks" "$case/$masks"
    done
done
quietly "$scratch/empty/bin/cinetrack" evaluate wheel/default --truth data -o metrics.json
quietly "$scratch/empty/bin/cinetrack" report wheel/default --truth data -o report
[[ -s metrics.json && -s report/index.html ]] || { echo "error: expected metrics.json and a report, found none" >&2 && exit 1; }
echo "the wheel $(basename "$wheel") works from an empty environment and writes the masks that the clone writes"
