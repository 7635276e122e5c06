"""Check a container's /output against the /input it was given, as the platform and the challenge need it.

    python test/check_output.py INPUT OUTPUT

Reads both with SimpleITK alone, so that a mistake in the library's own reader cannot hide one in its writer.
Exit code 0: all as it should be; 1: one line on stderr for each thing that is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

OUTPUT_FILE = Path("images/mri-linac-series-targets/output.mha")


def faults(input_folder: Path, output_folder: Path) -> Iterator[str]:
    """What is wrong with the output, one sentence each; nothing when it is as it should be."""
    found = sorted(path.relative_to(output_folder) for path in output_folder.rglob("*") if not path.is_dir())
    if found != [OUTPUT_FILE]:
        yield f"{output_folder}: expected {OUTPUT_FILE} alone, found {', '.join(map(str, found)) or 'nothing'}"
    path = output_folder / OUTPUT_FILE
    if not path.is_file():
        return
    series = sitk.ReadImage(str(_only_file(input_folder / "images/mri-linacs")))
    first_mask = sitk.GetArrayFromImage(sitk.ReadImage(str(_only_file(input_folder / "images/mri-linac-target"))))
    output = sitk.ReadImage(str(path))
    if output.GetPixelID() != sitk.sitkUInt8:
        yield f"{path}: expected 8-bit unsigned integers, found {output.GetPixelIDTypeAsString()}"
    if b"CompressedData = True" not in path.read_bytes()[:1000]:
        yield f"{path}: expected compressed data, found it uncompressed"
    for name in ("Size", "Spacing", "Origin", "Direction"):
        expected, given = getattr(series, f"Get{name}")(), getattr(output, f"Get{name}")()
        if given != expected:
            yield f"{path}: expected the series' {name.lower()} {expected}, found {given}"
    masks = sitk.GetArrayFromImage(output)
    if not np.isin(masks, (0, 1)).all():
        yield f"{path}: expected values 0 and 1, found {np.unique(masks)[:5].tolist()}"
    if masks.shape[:2] != first_mask.shape[:2] or not np.array_equal(masks[..., 0] != 0, first_mask[..., 0] != 0):
        yield f"{path}: expected the given mask on frame 0, found another"


def _only_file(folder: Path) -> Path:
    (path,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return path


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: check_output.py INPUT OUTPUT", file=sys.stderr)
        return 2
    found = list(faults(Path(sys.argv[1]), Path(sys.argv[2])))
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
