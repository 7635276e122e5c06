"""What SimpleITK itself reads of a file, each file in a process of its own: some headers crash it."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SCRIPT = """
import os, pickle, resource, signal, sys, traceback
import numpy, SimpleITK as sitk
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
out = sys.stdout.buffer
for line in sys.stdin.read().splitlines():
    path, image_io = line.rsplit("|", 1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(20)
        try:
            reader = sitk.ImageFileReader()
            reader.SetImageIO(image_io)
            reader.SetFileName(path)
            image = reader.Execute()
            if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
                raise RuntimeError("no scalar volume")
            if image.GetNumberOfPixels() > 50_000_000:
                raise RuntimeError("large")
            answer = (sitk.GetArrayFromImage(image), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        except BaseException as error:
            answer = str(error)
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    status = os.waitpid(child, 0)[1]
    pickle.dump(f"killed by signal {status}" if status else pickle.loads(data), out)
"""


@dataclass(frozen=True, eq=False)
class ItkImage:
    """Frames, (T, H, W), spacing, origin and direction as SimpleITK reads them."""

    frames: np.ndarray
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]


def read_apart(paths: Sequence[Path], image_io: str = "MetaImageIO") -> list[ItkImage | str]:
    """Read each file with SimpleITK; text instead where it refuses the file or is killed by it."""
    lines = "\n".join(f"{path}|{image_io}" for path in paths)
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    answers = []
    stream = io.BytesIO(done.stdout)
    for _ in paths:
        answer = pickle.load(stream)
        answers.append(answer if isinstance(answer, str) else ItkImage(np.moveaxis(answer[0], -1, 0), *answer[1:]))
    return answers
