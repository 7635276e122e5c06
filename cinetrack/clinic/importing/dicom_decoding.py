"""The stored values of DICOM frames, wherever their decoder runs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from cinetrack.clinic.dicom_header import Header, read_header, tag_name
from cinetrack.clinic.importing.decoder_main import decoded_frames
from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError

# Uncompressed, deflated and run-length encoded: pydicom decodes them itself.
SAFE_SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",
)

Request = tuple[Path, list[int] | None]


def stored_frames(requests: Sequence[Request]) -> Iterator[tuple[Header, list[np.ndarray]]]:
    """Each file's header, and its frames: (rows, columns), or (rows, columns, 3) red, green and blue.

    Args:
        requests: paths and the indices of the frames wanted, from 0; None for all of a file.
    Raises:
        InputError: names the file whose pixels cannot be decoded.
    """
    apart = [not _is_safe(path) for path, _ in requests]
    in_process = _decoded_apart([request for request, away in zip(requests, apart, strict=True) if away])
    for (path, indices), away in zip(requests, apart, strict=True):
        header = read_header(path, pixels=not away)
        if away:
            yield header, next(in_process)
            continue
        if "PixelData" not in header.dataset:
            raise header.unusable("PixelData", "pixels", None)
        try:
            yield header, decoded_frames(header.dataset, indices)
        except Exception as error:  # decoders raise many kinds
            raise _undecodable(path, str(error) or type(error).__name__) from None


def _is_safe(path: Path) -> bool:
    filereader = clinic_package("pydicom.filereader", f"{path}: to read DICOM")
    return str(filereader.read_file_meta_info(path).get("TransferSyntaxUID")) in SAFE_SYNTAXES


def _decoded_apart(requests: Sequence[Request]) -> Iterator[list[np.ndarray]]:
    """The frames of each file from a process that a damaged file may end."""
    if not requests:
        return
    # -P: the program's folder has modules whose names others may have as well.
    command = [sys.executable, "-P", str(Path(__file__).with_name("decoder_main.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            asked = json.dumps([[str(path.absolute()), indices] for path, indices in requests])
            with contextlib.suppress(BrokenPipeError):  # it broke down; then there is nothing to read
                process.stdin.write(asked.encode() + b"\n")
                process.stdin.close()
            for path, indices in requests:
                count = _frame_count(path) if indices is None else len(indices)
                yield [_next_frame(path, process.stdout) for _ in range(count)]
        finally:
            process.kill()


def _frame_count(path: Path) -> int:
    return read_header(path).whole("NumberOfFrames", 1, 2**31, default=1)


def _next_frame(path: Path, stream: IO[bytes]) -> np.ndarray:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise _undecodable(path, "their decoder broke down")
    head = json.loads(line)
    if "error" in head:
        raise _undecodable(path, head["error"])
    frame = np.empty(head["shape"], dtype=head["dtype"])
    content = stream.read(frame.nbytes)
    if len(content) != frame.nbytes:
        raise _undecodable(path, "their decoder broke down")
    return np.frombuffer(content, dtype=frame.dtype).reshape(frame.shape)


def _undecodable(path: Path, reason: str) -> InputError:
    shown = " ".join(reason.split())[:300]
    return InputError(f"{path}: {tag_name('PixelData')}: expected pixels that can be decoded, found others ({shown})")
