"""Decode the frames of DICOM files: a function, and a program that runs it in a process of its own.

Some decoders of compressed pixels end the process on damaged data (GDCM calls abort). As a program this file imports
nothing of this package, so that it starts fast. It reads one line of json from stdin, a list of [path, indices], and
writes for each frame, or an error, a line of json followed by the pixels' bytes.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from typing import Any

import numpy as np


def decoded_frames(source: Any, indices: list[int] | None) -> list[np.ndarray]:
    """The stored values of frames: (rows, columns), or (rows, columns, 3) red, green and blue of coloured ones.

    Args:
        source: path of a DICOM file, or its dataset.
        indices: of the frames wanted, from 0; None for all.
    Raises:
        Exception: of many kinds, where the pixels cannot be decoded.
    """
    import pydicom
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import iter_pixels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on values that are read all the same
        dataset = source if isinstance(source, pydicom.Dataset) else pydicom.dcmread(source)
        frames = list(iter_pixels(dataset, indices=indices))  # YCbCr comes as RGB
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            frames = [apply_color_lut(pixels, dataset) for pixels in frames]
    return frames


def main() -> None:
    """Answer the requests in stdin, in their order; ends with the first error."""
    logging.disable(logging.CRITICAL)
    for path, indices in json.loads(sys.stdin.readline()):
        try:
            frames = decoded_frames(path, indices)
        except Exception as error:  # decoders raise many kinds
            _write({"error": str(error) or type(error).__name__})
            return
        for pixels in frames:
            native = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))
            _write({"shape": native.shape, "dtype": native.dtype.str}, native.tobytes())


def _write(head: dict[str, Any], content: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
