"""Films for the browser, several at once."""

from __future__ import annotations

import os
import threading

import cv2
import numpy as np

from cinetrack.labelling import cine_video
from cinetrack.labelling.display import Display, Window


def test_two_films_at_once_leave_the_servers_stderr_where_it_was(tmp_path, monkeypatch):
    both_inside = threading.Barrier(2)
    first_has_left = threading.Event()
    writer, order = cv2.VideoWriter, iter(("first", "second"))

    def slow_writer(*arguments):
        name = next(order)
        try:
            both_inside.wait(0.5)  # broken where only one is let in at a time
        except threading.BrokenBarrierError:
            pass
        else:
            if name == "second":
                first_has_left.wait(5)
        return writer(*arguments)

    slow_writer.fourcc = writer.fourcc
    monkeypatch.setattr(cine_video.cv2, "VideoWriter", slow_writer)
    frames = [np.full((20, 16), value, np.uint16) for value in (10, 200)]
    before = os.fstat(2)

    def make(path):
        cine_video.write_film(path, frames, Display((20, 16), (40, 32)), Window(0, 255), 4.0)
        first_has_left.set()

    paths = [tmp_path / "a.webm", tmp_path / "b.webm"]
    threads = [threading.Thread(target=make, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
    assert all(path.stat().st_size > 100 for path in paths)
