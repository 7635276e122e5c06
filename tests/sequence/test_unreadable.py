"""What may not be read or written is bad input: one line and exit code 2, from every entry."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# Root may read everything, so the command gives up its rights once its code is loaded.
RUN = """
import importlib, os, pkgutil, sys
import cinetrack, inference
from cinetrack.cli import predict
from cinetrack.cli.main import main
for part in ("bundle", "pipeline", "runs", "sequence", "tracking"):
    for module in pkgutil.walk_packages([f"cinetrack/{part}"], f"cinetrack.{part}."):
        importlib.import_module(module.name)
if os.geteuid() == 0:
    os.seteuid(65534)
if sys.argv[1] == "container":
    sys.argv = ["inference.py", *sys.argv[2:]]
    sys.exit(inference.main())
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def open_folder():
    """A folder that everybody may enter and write to, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def run(*arguments: object) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize("closed", ["images/mri-linacs/series.mha", "frame-rate.json", "output"])
def test_the_container_says_in_one_line_what_it_may_not_use(open_folder, platform_input, closed):
    case, output = open_folder / "input", open_folder / "output"
    shutil.copytree(platform_input, case)
    output.mkdir()
    output.chmod(0o777)
    forbidden = output if closed == "output" else case / closed
    forbidden.chmod(0o555 if closed == "output" else 0)
    code, errors = run("container", "--input", case, "--output", output, "--model", "resources/static")
    assert code == 2 and len(errors) == 1 and str(forbidden) in errors[0], errors


@pytest.mark.parametrize("closed", ["A_001", "A_001/targets/A_001_first_label.mha"])
def test_a_case_that_may_not_be_read_ends_no_others(open_folder, dataset, closed):
    shutil.copytree(dataset, open_folder / "data")
    (open_folder / "data" / closed).chmod(0)
    code, errors = run(
        "predict", open_folder / "data", "-o", open_folder / "out", "--model", "resources/static", "--device", "cpu"
    )
    assert code == 2 and len(errors) == 1 and "A_001" in errors[0] and "Permission denied" in errors[0], errors
    assert (open_folder / "out/B_002/images/mri-linac-series-targets/output.mha").is_file()
