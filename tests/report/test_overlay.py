"""`cinetrack overlay`: films, animations and contact sheets, head up, with outlines where the masks are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from prediction_writing import shifted, write_prediction

from cinetrack.cli.main import main
from cinetrack.report.overlay import COLORS, draw_frames
from cinetrack.sequence import CineSequence


@pytest.fixture
def prediction(tmp_path, moving_disc) -> Path:
    return write_prediction(tmp_path / "predictions", "A_001", shifted(moving_disc[1], 10, -8)).parent


def overlay(dataset: Path, output: Path, *more: str) -> int:
    return main(["overlay", str(dataset / "A_001"), "-o", str(output), *more])


def pixels_of(picture: np.ndarray, name: str) -> np.ndarray:
    return np.argwhere(np.abs(picture.astype(int) - COLORS[name]).max(axis=-1) < 60)


def test_outlines_are_drawn_head_up_at_the_masks_place_and_shape():
    masks = np.zeros((1, 40, 60), dtype=bool)
    masks[0, 4:10, 8:20] = True  # near row 0: the feet, at the bottom of the picture
    sequence = CineSequence(np.zeros((1, 40, 60), dtype=np.uint8), (2.0, 1.0), 4.0, 0.35, "thorax")
    [picture] = draw_frames(sequence, {"truth": masks}, [0])
    assert picture.shape == (960, 720, 3)  # 12 times, and rows twice as high
    found = pixels_of(picture, "truth")
    low, high = found.min(axis=0), found.max(axis=0)
    assert low == pytest.approx([960 - 10 * 24, 8 * 12], abs=13)
    assert high == pytest.approx([960 - 4 * 24, 20 * 12], abs=13)


def test_a_film_has_every_frame_at_the_true_rate(dataset, prediction, tmp_path):
    assert overlay(dataset, tmp_path / "x.mp4", "--prediction", str(prediction)) == 0
    film = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(4)
    pictures = []
    while (read := film.read())[0]:
        pictures.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    assert len(pictures) == 8
    assert len(pixels_of(pictures[3], "truth")) > 100 and len(pixels_of(pictures[3], "prediction")) > 100


def test_an_animation_keeps_both_outlines_in_their_colours(dataset, prediction, tmp_path):
    assert overlay(dataset, tmp_path / "x.gif", "--prediction", str(prediction / "A_001")) == 0
    animation = Image.open(tmp_path / "x.gif")
    assert animation.n_frames == 8 and animation.info["duration"] == 250
    animation.seek(4)
    picture = np.array(animation.convert("RGB"))
    assert len(pixels_of(picture, "truth")) > 100 and len(pixels_of(picture, "prediction")) > 100


def test_a_contact_sheet_shows_frames_in_rows(dataset, tmp_path):
    assert overlay(dataset, tmp_path / "x.png") == 0
    sheet = np.array(Image.open(tmp_path / "x.png"))
    enlarged = round(480 / 56)
    assert sheet.shape == (2 * (enlarged * 72 * 3 // 2 + 2), 4 * (enlarged * 56 + 2), 3)
    assert len(pixels_of(sheet, "truth")) > 100 and len(pixels_of(sheet, "prediction")) == 0


@pytest.mark.parametrize(
    ("output", "more", "message"),
    [
        ("x.avi", (), "expected a file name that ends in .mp4, .gif, .png, found .avi"),
        ("x.png", ("--series", "Q"), "expected --series to name one of A_001, found Q"),
        ("x.png", ("--prediction", "{predictions}/nowhere"), "expected a folder of predictions, found none"),
    ],
)
def test_what_cannot_be_drawn_is_reported(dataset, prediction, tmp_path, capfd, output, more, message):
    more = [word.format(predictions=prediction) for word in more]
    assert overlay(dataset, tmp_path / output, *more) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / output).exists()


def test_a_prediction_of_another_shape_is_refused(dataset, moving_disc, tmp_path, capfd):
    write_prediction(tmp_path / "short", "A_001", moving_disc[1][:6])
    assert overlay(dataset, tmp_path / "x.gif", "--prediction", str(tmp_path / "short")) == 2
    assert "output.mha: expected masks of 8 frames of 72 x 56 px, found 6 frames" in capfd.readouterr().err
