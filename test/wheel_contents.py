"""Check that a wheel holds the whole package and the shipped bundles: `python test/wheel_contents.py WHEEL`.

What is expected is what version control tracks below `cinetrack/`, and of `resources/` each shipped bundle's manifest
and the files that it lists.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("default", "registration", "static")


def main() -> int:
    """Print what is missing; 1 if anything is."""
    wheel = Path(sys.argv[1])
    tracked = subprocess.run(["git", "ls-files", "cinetrack"], cwd=ROOT, check=True, capture_output=True, text=True)
    expected = set(tracked.stdout.splitlines())
    for name in SHIPPED:
        manifest = json.loads((ROOT / "resources" / name / "bundle.json").read_text(encoding="utf-8"))
        expected |= {f"cinetrack/resources/{name}/{file}" for file in ("bundle.json", *manifest["files"])}
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    missing = sorted(expected - found)
    for file in missing:
        print(f"error: {wheel.name}: expected {file}, found none", file=sys.stderr)
    print(f"{wheel.name}: {len(expected)} files expected, {len(missing)} missing; {wheel.stat().st_size / 1e6:.1f} MB")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
