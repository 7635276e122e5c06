"""Damage images at random and see that both readers refuse them or read the values that SimpleITK reads.

    python benchmarks/damaged_images.py --files 5000 --seed 1

Each file is read by `read_series` and by `FrameSpool` in a process of its own kind, and by SimpleITK in one process a
file, for some files end it. Prints a json summary and one line for each file where
  - a reader was killed, raised anything but InputError, took long or much memory,
  - the two readers differ, or
  - what was read differs from what SimpleITK reads.
Files that are refused here and of which SimpleITK reads the pixels that they had are counted by the reason. Exit code 1
where a line was printed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests/sequence")]

from itk_apart import ItkImage, read_apart  # noqa: E402

MOST_SECONDS = 2.0
MOST_MEGABYTES = 500.0
BATCH = 250

READ_BOTH = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from cinetrack.errors import InputError
from cinetrack.labelling.frame_spool import FrameSpool
from cinetrack.sequence.image_files import read_series
import logging
logging.disable(logging.CRITICAL)

def attempt(read):
    try:
        return read()
    except InputError as error:
        return f"refused: {error}"
    except BaseException as error:
        return f"raised: {type(error).__name__}: {error}"

def spooled(path):
    spool = FrameSpool(path)
    frames = np.stack(list(spool))
    spool.close()
    return frames, spool.geometry

def facts(found):
    if isinstance(found, str):
        return {"refusal": found}
    frames, geometry = found
    return {
        "dtype": str(frames.dtype), "shape": frames.shape, "values": hash(frames.tobytes()),
        "spacing": geometry.spacing, "origin": geometry.origin, "direction": geometry.direction,
    }

for line in sys.stdin.read().splitlines():
    path = Path(line)
    began = time.perf_counter()
    series, spool = (attempt(lambda: read(path)) for read in (read_series, spooled))
    report = {
        "series": facts(series), "spool": facts(spool), "seconds": time.perf_counter() - began,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(report), flush=True)
    if not isinstance(series, str):
        np.save(line + ".npy", series[0])
"""


def originals(generator: np.random.Generator) -> dict[str, bytes]:
    """Small sound files of all kinds, by a name with their ending."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, dtype in enumerate(("u1", "i2", "u2", "i4", "i8", "f4", "f8")):
            volume = generator.integers(0, 120, (7, 6, 5)).astype(dtype)
            image = sitk.GetImageFromArray(volume)
            image.SetSpacing((5.0, 1.25, 1.5))
            image.SetOrigin((1.5, -2.0, 3.0))
            image.SetMetaData("DICOM_0008", "MR " * 20)
            for ending, compress in ((".mha", False), (".mha", True), (".tif", False), (".tif", True), (".nrrd", False),
                                     (".nrrd", True), (".nii", False), (".nii.gz", True)):  # fmt: skip
                if ending == ".tif" and dtype in ("i4", "i8", "f8"):
                    continue
                path = Path(folder) / f"{number}-{int(compress)}{ending}"
                sitk.WriteImage(image, str(path), useCompression=compress)
                found[path.name] = path.read_bytes()
        for dtype in (">u2", ">f4"):
            header = found["2-0.mha"][: found["2-0.mha"].index(b"LOCAL\n") + 6]
            header = header.replace(b"MSB = False", b"MSB = True")
            element = {">u2": b"MET_USHORT", ">f4": b"MET_FLOAT"}[dtype]
            header = header.replace(b"MET_USHORT", element)
            found[f"big{dtype[1:]}.mha"] = header + generator.integers(0, 99, 210).astype(dtype).tobytes()
    return found


def frames_of(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """What SimpleITK reads of the sound files, (T, H, W)."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.write_bytes(content)
            found[name] = np.moveaxis(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), -1, 0)
    return found


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """A file with one to three changes, more often near its start."""
    data = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        changes = TEXT_CHANGES + BYTE_CHANGES if b"ElementDataFile" in content or b"NRRD" in content else BYTE_CHANGES
        data = bytearray(changes[generator.integers(len(changes))](bytes(data), generator))
    return bytes(data)


def _place(data: bytes, generator: np.random.Generator) -> int:
    near = len(data) if generator.random() < 0.3 else min(len(data), 600)
    return int(generator.integers(0, max(near, 1)))


def _flip(data: bytes, generator: np.random.Generator) -> bytes:
    at = _place(data, generator)
    return data[:at] + bytes([generator.integers(256)]) + data[at + 1 :]


def _bit(data: bytes, generator: np.random.Generator) -> bytes:
    at = _place(data, generator)
    return data[:at] + bytes([data[at] ^ (1 << generator.integers(8))]) + data[at + 1 :] if data else data


def _cut(data: bytes, generator: np.random.Generator) -> bytes:
    return data[: _place(data, generator)] if generator.random() < 0.5 else data[: -int(generator.integers(1, 30))]


def _insert(data: bytes, generator: np.random.Generator) -> bytes:
    at = _place(data, generator)
    return data[:at] + generator.bytes(int(generator.integers(1, 20))) + data[at:]


def _remove(data: bytes, generator: np.random.Generator) -> bytes:
    at = _place(data, generator)
    return data[:at] + data[at + int(generator.integers(1, 20)) :]


def _word(data: bytes, generator: np.random.Generator) -> bytes:
    at = _place(data, generator) & ~1
    word = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0")[generator.integers(5)]
    return data[:at] + word + data[at + 4 :]


def _number(data: bytes, generator: np.random.Generator) -> bytes:
    numbers = list(re.finditer(rb"-?\d+(?:\.\d+)?", data[:800]))
    if not numbers:
        return data
    chosen = numbers[generator.integers(len(numbers))]
    values = (b"0", b"-1", b"1e9", b"99999999999", b"nan", b"1e400", b"3.7", b"", b"x", b"2", b"7", b"1e-320", b"0x5")
    return data[: chosen.start()] + values[generator.integers(len(values))] + data[chosen.end() :]


def _line(data: bytes, generator: np.random.Generator) -> bytes:
    lines = data[:800].split(b"\n")
    rest = data[800:]
    one, other = generator.integers(len(lines)), generator.integers(len(lines))
    match generator.integers(4):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            lines.insert(int(one), lines[other])
        case 2:
            del lines[one]
        case _:
            key = (b"Name", b"Comment", b"HeaderSize", b"Tag", b"ElementByteOrderMSB", b"CompressedDataSize", b"Offset",
                   b"BinaryData", b"ElementNumberOfChannels", b"NDims", b"ElementSize", b"Orientation",
                   b"ElementDataFile", b"ObjectSubType", b"AcquisitionDate", b"Color", b"SequenceID")  # fmt: skip
            value = (b"x" * 300, b"x" * 5000, b"-1", b"0", b"True", b"", b"1 2 3", b"1 0 0 0 1 0 0 0 1", b"LOCAL")
            lines.insert(int(one), key[generator.integers(len(key))] + b" = " + value[generator.integers(len(value))])
    return b"\n".join(lines) + rest


def _recompress(data: bytes, generator: np.random.Generator) -> bytes:
    at = data.find(b"LOCAL\n") + 6
    return data[:at] + zlib.compress(data[at:])


BYTE_CHANGES: list[Callable[[bytes, np.random.Generator], bytes]] = [_flip, _bit, _cut, _insert, _remove, _word]
TEXT_CHANGES: list[Callable[[bytes, np.random.Generator], bytes]] = [_number, _number, _line, _line, _recompress]

IMAGE_IO = {
    ".mha": "MetaImageIO", ".tif": "TIFFImageIO", ".nrrd": "NrrdImageIO", ".nii": "NiftiImageIO", ".gz": "NiftiImageIO"
}  # fmt: skip


def check(
    paths: list[Path], sources: list[str], whole: dict[str, np.ndarray], reasons: Counter[str]
) -> tuple[list[str], Counter[str]]:
    """Read a batch of damaged files with all readers; returns what is wrong, and how many were read or refused."""
    lines = "\n".join(map(str, paths)).encode()
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, "-c", READ_BOTH], input=lines, capture_output=True, env=environment)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = []
    if len(reports) < len(paths):
        wrong.append(f"{paths[len(reports)].name} of {sources[len(reports)]}: killed the readers ({done.returncode})")
    counts: Counter[str] = Counter()
    by_io = {io: [i for i in range(len(reports)) if IMAGE_IO[paths[i].suffix] == io] for io in set(IMAGE_IO.values())}
    expected: dict[int, ItkImage | str] = {}
    for image_io, indices in by_io.items():
        expected.update(zip(indices, read_apart([paths[i] for i in indices], image_io), strict=True) if indices else {})
    for index, report in enumerate(reports):
        name = f"{paths[index].name} of {sources[index]}"
        wrong += [
            f"{name}: {text}"
            for text in _wrong_with(report, expected[index], whole[sources[index]], paths[index], counts, reasons)
        ]
    return wrong, counts


def _wrong_with(
    report: dict[str, Any],
    expected: ItkImage | str,
    whole: np.ndarray,
    path: Path,
    counts: Counter[str],
    reasons: Counter[str],
) -> list[str]:
    wrong = []
    series, refusal = report["series"], report["series"].get("refusal", "")
    if report["seconds"] > MOST_SECONDS or report["megabytes"] > MOST_MEGABYTES:
        wrong.append(f"{report['seconds']:.1f} s, {report['megabytes']:.0f} MB")
    if series != report["spool"]:
        wrong.append(f"the readers differ: {series} and {report['spool']}")
    if refusal.startswith("raised"):
        wrong.append(refusal)
    if refusal:
        counts["refused"] += 1
        if isinstance(expected, ItkImage):
            counts["refused, read by SimpleITK"] += 1
            if not _same(expected.frames, whole):
                return wrong  # SimpleITK reads other pixels than the file had
            counts["refused, read right by SimpleITK"] += 1
            reasons[re.sub(r"[\d.+-]+", "#", refusal.rpartition("found ")[2])[:60]] += 1
        return wrong
    counts["read"] += 1
    if isinstance(expected, str):
        counts[f"read, SimpleITK {'killed' if 'killed' in expected else 'refuses'}"] += 1
        return wrong
    frames = np.load(f"{path}.npy")
    finite = np.nan_to_num(expected.frames, nan=0, posinf=0, neginf=0) if frames.dtype.kind == "f" else expected.frames
    known = np.isfinite(expected.frames) if frames.dtype.kind == "f" else np.ones(frames.shape, bool)
    if frames.dtype != expected.frames.dtype or frames.shape != expected.frames.shape:
        wrong.append(f"SimpleITK reads {expected.frames.dtype} {expected.frames.shape}, not {frames.dtype}")
    elif not np.array_equal(frames[known], finite[known]):
        wrong.append("SimpleITK reads other values")
    for name in ("spacing", "origin", "direction"):
        if not np.allclose(series[name], getattr(expected, name), rtol=1e-12, atol=0, equal_nan=True):
            wrong.append(f"SimpleITK reads the {name} {getattr(expected, name)}, not {series[name]}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="Damage images at random and compare the readers.")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--endings", nargs="*", default=[".mha", ".tif"], help="of the files to damage")
    parser.add_argument("--keep", type=Path, help="a folder for the damaged files; by default they are deleted")
    args = parser.parse_args()
    generator = np.random.default_rng(args.seed)
    whole = {name: data for name, data in originals(generator).items() if Path(name).suffix in args.endings}
    names = sorted(whole)
    frames = frames_of(whole)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for start in range(0, args.files, BATCH):
            paths, sources = [], []
            for number in range(start, min(start + BATCH, args.files)):
                source = names[generator.integers(len(names))]
                ending = ".nii.gz" if source.endswith(".nii.gz") else Path(source).suffix
                paths.append(folder / f"{number:05d}{ending}")
                paths[-1].write_bytes(damaged(whole[source], generator))
                sources.append(source)
            found, counted = check(paths, sources, frames, reasons)
            print("\n".join(found), file=sys.stderr, end="\n" if found else "", flush=True)
            wrong += found
            counts += counted
            if not args.keep:
                for path in paths:
                    path.unlink()
                    Path(f"{path}.npy").unlink(missing_ok=True)
    print(
        json.dumps({"files": args.files, **counts, "wrong": len(wrong), "refused here alone": dict(reasons)}, indent=1)
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
