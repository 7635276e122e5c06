"""What a browser must not be able to do: read files, send large things, smuggle values or markup."""

from __future__ import annotations

import http.client
import math
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlparse

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import serving  # noqa: E402

from cinetrack.errors import InputError  # noqa: E402
from cinetrack.labelling.display import Display  # noqa: E402
from cinetrack.labelling.web import pieces  # noqa: E402
from cinetrack.labelling.web.from_browser import boxes_for, boxes_from, path_from, whole_number  # noqa: E402
from cinetrack.labelling.web.server import LARGEST_REQUEST_BYTES  # noqa: E402
from cinetrack.labelling.work_queue import Progress  # noqa: E402
from cinetrack.tracking import BoxPrompt  # noqa: E402

DISPLAY = Display((72, 56), (720, 560))


@pytest.fixture(scope="module")
def server(tmp_path_factory, moving_disc):
    from cinetrack.sequence import CineSequence
    from cinetrack.sequence.trackrad_dataset import write_case

    root = tmp_path_factory.mktemp("served")
    write_case(root / "data", "P", CineSequence(moving_disc[0], (1.5, 1.0), 4.0, 0.35, "abdomen"), None)
    (root / "secret.json").write_text("{}")
    with serving(root / "data", root / "store", bundle="static") as url:
        yield url, root


def status(url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    try:
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_no_file_of_the_machine_or_the_dataset_is_served(server):
    url, root = server
    series = root / "data" / "P" / "images" / "P_frames.mha"
    assert series.exists()
    for path in (
        series,
        root / "secret.json",
        root / "store",
        Path("/etc/passwd"),
        Path(__file__),
        Path("pyproject.toml"),
    ):
        for way in ("file=", "file/"):
            assert status(f"{url}gradio_api/{way}{quote(str(path))}") in (403, 404)
    for path in ("..%2f..%2fetc%2fpasswd", "../../../../etc/passwd"):
        assert status(f"{url}static/{path}") in (400, 403, 404)


def test_uploads_and_large_requests_are_refused(server):
    url, _ = server
    assert status(f"{url}gradio_api/upload", b"x") == 403
    for length in (str(LARGEST_REQUEST_BYTES + 1), "many"):
        connection = http.client.HTTPConnection(urlparse(url).netloc, timeout=20)
        connection.putrequest("POST", "/gradio_api/queue/join")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status in (400, 413)
        connection.close()


def test_a_large_request_without_a_length_is_cut_off(server):
    url, _ = server
    connection = http.client.HTTPConnection(urlparse(url).netloc, timeout=20)
    try:
        chunks = (b" " * (1 << 20) for _ in range(8))
        connection.request("POST", "/gradio_api/queue/join", body=chunks, encode_chunked=True)
        assert connection.getresponse().status >= 400
    except (ConnectionError, http.client.HTTPException):
        pass  # hung up on, which is as good
    finally:
        connection.close()
    assert status(url) == 200


def test_there_is_no_description_of_the_programs_interface(server):
    url, _ = server
    assert status(f"{url}docs") == 404 and status(f"{url}openapi.json") == 404


@pytest.mark.parametrize(
    "payload",
    [
        {"boxes": "many"},
        {"boxes": [[1, 2, 3, 4]]},
        {"boxes": [{"xmin": "1", "ymin": 2, "xmax": 3, "ymax": 4}]},
        {"boxes": [{"xmin": math.nan, "ymin": 2, "xmax": 3, "ymax": 4}]},
        {"boxes": [{"xmin": 1, "ymin": 2, "xmax": True, "ymax": 4}]},
        {"boxes": [{"xmin": 1, "ymin": 2, "xmax": 3}]},
        {"boxes": [{"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}] * 51},
        {"boxes": [], "orientation": 1},
    ],
)
def test_boxes_that_are_none_are_refused(payload):
    with pytest.raises(InputError):
        boxes_from(payload, DISPLAY)


def test_boxes_come_back_as_they_were_sent_though_the_browser_rounds_them():
    sent = (BoxPrompt(10.03, 20.04, 30.26, 40.27),)
    payload = {"boxes": [{key: round(value) if isinstance(value, float) else value for key, value in box.items()}
                         for box in boxes_for(sent, [(1, 2, 3)], DISPLAY)]}  # fmt: skip
    assert boxes_from(payload, DISPLAY, sent) == list(sent)
    found = boxes_from(payload, DISPLAY)[0]
    assert (found.top, found.left, found.bottom, found.right) == pytest.approx((10.0, 20.0, 30.3, 40.3))


def test_boxes_of_a_scaled_view_are_scaled_back():
    box = {"xmin": 100, "ymin": 200, "xmax": 150, "ymax": 300, "scaleFactor": 0.5}
    assert boxes_from({"boxes": [box]}, DISPLAY) == [BoxPrompt(12, 20, 32, 30)]


@pytest.mark.parametrize(
    "data", [None, {}, {"path": []}, {"path": [[1]]}, {"path": [["a", 0]]}, {"path": [[0, 0]] * 2001}]
)
def test_strokes_that_are_none_are_refused(data):
    with pytest.raises(InputError):
        path_from(data, DISPLAY)


def test_a_stroke_beyond_the_picture_ends_at_its_edge():
    assert path_from({"path": [[0.5, 0.5], [-3, 7]]}, DISPLAY) == [(36.0, 28.0), (0.0, 0.0)]


@pytest.mark.parametrize("value", [None, "5", [1], math.inf, True])
def test_only_numbers_are_numbers(value):
    with pytest.raises(InputError):
        whole_number(value, 0, 9)
    assert whole_number(12.7, 0, 9) == 9


def test_what_people_write_is_escaped():
    evil = "<script>alert(1)</script>"
    nothing = Progress(0, 0, 0)
    for html in (pieces.message(evil), pieces.title(evil, nothing, nothing, 1, 1)):
        assert "<script>" not in html and "&lt;script&gt;" in html
    assert pieces.data_url(np.zeros((4, 4, 3), np.uint8)).startswith("data:image/jpeg;base64,")
