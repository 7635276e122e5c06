"""Sources: what they take for a frame, what they say where it is none, and that they outlive the other side."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from blob_model import SPACING_MM, BlobModel, blob, first_mask, live_frame

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.live import LiveFrame, LiveSession
from cinetrack.live.session_log import SessionLog
from cinetrack.live.sources.folder import FolderSource
from cinetrack.live.sources.raw_stream import RawStreamSource, frame_bytes
from cinetrack.live.sources.source import Numbering, SourceEvent, open_source
from cinetrack.live.stream import Stream
from cinetrack.sequence.image_files import ImageGeometry, write_masks, write_series

ROOT = Path(__file__).resolve().parents[2]


async def first_items(source, count: int, seconds: float = 5.0) -> list:
    """The first items of a source."""
    found = []

    async def collect() -> None:
        async for item in source.items():
            found.append(item)
            if len(found) == count:
                return

    await asyncio.wait_for(collect(), seconds)
    return found


def frames_in(items) -> list[LiveFrame]:
    return [item for item in items if isinstance(item, LiveFrame)]


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ([None, None, None], [0, 1, 2]),
        ([0, 1, 4], [0, 1, 4]),
        ([5, 6, 0, 1, 3], [5, 6, 7, 8, 10]),
        ([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5]),
        ([0, 10**9, 10**9 + 1], [0, 1, 2]),
    ],
)
def test_numbers_always_grow_and_a_scanner_that_counts_anew_goes_on_from_the_last_one(said, numbers):
    numbering = Numbering()
    assert [numbering.next(one) for one in said] == numbers


# A folder


def test_a_folder_gives_its_files_in_the_order_of_their_names_with_spacing_and_plane(tmp_path):
    for name in ("b_coronal.mha", "a.mha", ".hidden.mha", "notes.txt"):
        path = tmp_path / name
        if path.suffix == ".mha":
            write_series(path, blob()[None], ImageGeometry.in_plane(SPACING_MM))
        else:
            path.write_text("no frame")
    frames = asyncio.run(first_items(FolderSource(tmp_path, tmp_path / "masks", "sagittal"), 2))
    assert [(frame.origin.name, frame.plane, frame.number) for frame in frames] == [
        ("a.mha", "sagittal", 0),
        ("b_coronal.mha", "coronal", 1),
    ]
    assert frames[0].spacing_mm == SPACING_MM and np.array_equal(frames[0].image, blob())


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path):
    geometry = ImageGeometry.in_plane(SPACING_MM)
    write_series(tmp_path / "whole" / "0.mha", blob()[None], geometry)
    content = (tmp_path / "whole" / "0.mha").read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()

    async def run() -> list:
        (folder / "0.mha").write_bytes(content[:200])
        reading = asyncio.create_task(first_items(FolderSource(folder, folder, "sagittal"), 1))
        await asyncio.sleep(0.1)
        assert not reading.done()
        (folder / "0.mha").write_bytes(content)
        return await reading

    (frame,) = asyncio.run(run())
    assert np.array_equal(frame.image, blob())


def test_a_file_that_stays_damaged_is_reported_and_the_next_one_read(tmp_path):
    (tmp_path / "0.mha").write_bytes(b"NDims = 3\n")
    os.utime(tmp_path / "0.mha", (1000, 1000))
    write_series(tmp_path / "1.mha", blob()[None], ImageGeometry.in_plane(SPACING_MM))
    write_series(tmp_path / "2.mha", np.stack([blob()] * 2), ImageGeometry.in_plane(SPACING_MM))
    event, frame, other = asyncio.run(first_items(FolderSource(tmp_path, tmp_path, "sagittal"), 3))
    assert event.kind == "unreadable" and "0.mha" in event.detail
    assert frame.number == 1
    assert other.kind == "unreadable" and "expected one frame, found 2" in other.detail


# Standard input


def raw_source(content: bytes) -> RawStreamSource:
    return RawStreamSource(io.BytesIO(content), io.BytesIO(), "sagittal")


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "float32"])
def test_standard_input_gives_frames_as_they_were_sent(kind):
    image = (np.arange(12).reshape(3, 4) * 3).astype(kind)
    content = frame_bytes(image, number=7, acquired_s=12.5, spacing_mm=[2.0, 1.0], plane="coronal") + frame_bytes(image)
    first, second = asyncio.run(first_items(raw_source(content), 2))
    assert np.array_equal(first.image, image) and first.image.dtype == image.dtype
    assert (first.number, first.acquired_s, first.spacing_mm, first.plane) == (7, 12.5, (2.0, 1.0), "coronal")
    assert (second.number, second.plane) == (8, "sagittal")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "header of frame 0: expected a line of json, found b'hello"),
        (b"[1]\n", "expected a json object, found list"),
        (b'{"shape": [3], "type": "uint8"}\n', r"expected shape to be \[rows, columns\], found \[3\]"),
        (b'{"shape": [3, 0], "type": "uint8"}\n', r"found \[3, 0\]"),
        (b'{"shape": [3, 2], "type": "complex64"}\n', "expected type to be one of"),
        (b'{"shape": [3, 2], "type": "uint8", "number": -1}\n', "expected number to be a number of 0 or more"),
        (b'{"shape": [3, 2], "type": "uint8", "spacing_mm": [1]}\n', "expected spacing_mm"),
        (b'{"shape": [3, 2], "type": "uint8"}\nabc', "frame 0: expected 6 bytes of pixels, found 3"),
    ],
)
def test_what_is_no_frame_on_standard_input_is_named(content, message):
    with pytest.raises(InputError, match=message):
        asyncio.run(first_items(raw_source(content), 1))


def test_the_command_answers_on_standard_output_and_ends_with_its_input(tmp_path, moving_disc):
    frames, masks = moving_disc
    write_masks(tmp_path / "first.mha", masks[:1], ImageGeometry.in_plane((1.5, 1.0)))
    command = [sys.executable, "-m", "cinetrack", "stream", "-", "-o", str(tmp_path / "s"), "--late", "all"]
    command += ["--model", str(ROOT / "resources" / "static"), "--mask", str(tmp_path / "first.mha")]
    sent = b"".join(frame_bytes(frame, acquired_s=1000 + n / 4) for n, frame in enumerate(frames))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, input=sent, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    answers = io.BytesIO(done.stdout)
    for number in range(len(frames)):
        line = json.loads(answers.readline())
        assert line["number"] == number and line["mask"]["type"] == "uint8"
        mask = np.frombuffer(answers.read(72 * 56), np.uint8).reshape(line["mask"]["shape"])
        assert np.array_equal(mask.astype(bool), masks[0])
    assert not answers.read()


def test_a_bad_frame_ends_the_command_with_2_and_keeps_what_came_before(tmp_path, moving_disc):
    frames, masks = moving_disc
    write_masks(tmp_path / "first.mha", masks[:1], ImageGeometry.in_plane((1.5, 1.0)))
    command = [sys.executable, "-m", "cinetrack", "stream", "-", "-o", str(tmp_path / "s"), "--late", "all"]
    command += ["--model", str(ROOT / "resources" / "static"), "--mask", str(tmp_path / "first.mha")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    sent = frame_bytes(frames[0]) + frame_bytes(frames[1]) + b"nonsense\n"
    done = subprocess.run(command, input=sent, capture_output=True, env=environment)
    assert done.returncode == 2
    assert b"header of frame 2: expected a line of json" in done.stderr
    assert json.loads((tmp_path / "s" / "summary.json").read_text())["frames"]["tracked"] == 2


# OpenIGTLink


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def igtl_image(image: np.ndarray, number: int, device: str = "Cine") -> bytes:
    pyigtl = pytest.importorskip("pyigtl")
    matrix = np.diag([1.0, 1.5, 5.0, 1.0])
    message = pyigtl.ImageMessage(image[None], matrix, "ras", timestamp=1000 + number, device_name=device)
    message.header_version, message.metadata = 2, {"FrameNumber": str(number)}
    return message.pack()


class Scanner:
    """A plain socket server that sends bytes to whoever connects, and hangs up."""

    def __init__(self, *connections: bytes) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, args=(connections,), daemon=True).start()

    def _serve(self, connections) -> None:
        for content in connections:
            peer, _ = self.server.accept()
            peer.sendall(content)
            peer.close()


def test_openigtlink_frames_that_come_in_a_burst_are_all_taken_and_the_client_connects_again():
    pytest.importorskip("pyigtl")
    burst = b"".join(igtl_image(blob(20 + n % 5), n) for n in range(20))
    scanner = Scanner(burst, igtl_image(blob(), 25, "Cine_Coronal"))
    source = open_source(f"openigtlink://127.0.0.1:{scanner.port}", "sagittal", Path())
    items = asyncio.run(first_items(source, 25))
    frames = frames_in(items)
    assert [frame.number for frame in frames] == [*range(20), 25]
    assert frames[3].acquired_s == pytest.approx(1003) and frames[3].spacing_mm == pytest.approx(SPACING_MM)
    assert np.array_equal(frames[3].image, blob(23)) and frames[3].image.dtype == np.uint16
    assert frames[-1].plane == "coronal"
    kinds = [item.kind for item in items if not isinstance(item, LiveFrame)]
    assert kinds == ["connected", "disconnected", "connected", "disconnected"]


def test_a_scanner_that_is_not_there_yet_is_waited_for():
    pytest.importorskip("pyigtl")
    port = free_port()

    async def run() -> list:
        source = open_source(f"openigtlink://127.0.0.1:{port}", "sagittal", Path())
        waiting = asyncio.create_task(first_items(source, 3))
        await asyncio.sleep(0.1)

        async def serve(_reader, writer) -> None:
            writer.write(igtl_image(blob(), 0))
            await writer.drain()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        items = await waiting
        server.close()
        return items

    items = asyncio.run(run())
    assert [type(item).__name__ for item in items] == ["SourceEvent", "SourceEvent", "LiveFrame"]
    assert items[0].kind == "unreachable"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            b"GET / HTTP/1.1\r\nHost: scanner\r\nUser-Agent: something else entirely\r\n\r\n",
            "expected an OpenIGTLink header",
        ),
        (struct.pack("> H 12s 20s II Q Q", 1, b"IMAGE", b"Cine", 1, 0, 1 << 40, 0), "1099511627776 bytes"),
    ],
)
def test_other_bytes_end_the_connection_and_not_the_stream(content, found):
    pytest.importorskip("pyigtl")
    scanner = Scanner(content, igtl_image(blob(), 4))
    source = open_source(f"openigtlink://127.0.0.1:{scanner.port}", "sagittal", Path())
    items = asyncio.run(first_items(source, 4))
    assert items[1].kind == "disconnected" and found in items[1].detail
    assert items[3].number == 4


def test_an_image_of_several_slices_is_reported_and_the_next_one_taken():
    pyigtl = pytest.importorskip("pyigtl")
    volume = pyigtl.ImageMessage(np.zeros((3, 8, 8), np.uint8), device_name="Volume").pack()
    other = pyigtl.TransformMessage(np.eye(4), device_name="Needle").pack()
    scanner = Scanner(volume + other + igtl_image(blob(), 1))
    source = open_source(f"openigtlink://127.0.0.1:{scanner.port}", "sagittal", Path())
    _, event, frame = asyncio.run(first_items(source, 3))
    assert (
        event.kind == "unreadable"
        and "expected one slice with one channel, found an image of 3 x 8 x 8" in event.detail
    )
    assert frame.number == 1


def test_answers_go_to_every_client_of_a_listening_stream(tmp_path):
    pyigtl = pytest.importorskip("pyigtl")
    port = free_port()

    def receive(results: list) -> None:
        peer = socket.create_connection(("127.0.0.1", port))
        stream = peer.makefile("rb")
        messages: list = []
        if not results:
            time.sleep(0.2)  # the other one is connected by then
            peer.sendall(igtl_image(blob(), 0) + igtl_image(blob(22), 1))
        while len(messages) < 6:
            fields = pyigtl.messages.MessageBase.parse_header(stream.read(58))
            message = pyigtl.messages.MessageBase.create_message(fields["message_type"])
            message.unpack(fields, stream.read(fields["body_size"]))
            messages.append(message)
        results.extend(messages)

    async def run() -> tuple[list, list]:
        source = open_source(f"openigtlink-listen://127.0.0.1:{port}", "sagittal", tmp_path)
        session = LiveSession(BlobModel(), first_mask(), late="all")
        with SessionLog(tmp_path / "s", {"sagittal": first_mask()}, {}) as log:
            stream = Stream(source, session, log)
            running = asyncio.create_task(stream.run())
            while source.port is None:
                await asyncio.sleep(0.01)
            watching: list = ["a viewer"]
            sending: list = []
            both = [asyncio.create_task(asyncio.to_thread(receive, one)) for one in (watching, sending)]
            await asyncio.wait_for(asyncio.gather(*both), 10)
            stream.stop.set()
            await asyncio.wait_for(running, 5)
        return watching, sending

    for messages in asyncio.run(run()):
        kinds = [(message.device_name, message.message_type) for message in messages[-3:]]
        assert kinds == [("Mask", "IMAGE"), ("Centroid", "TRANSFORM"), ("Result", "STRING")]
        mask, centroid, result = messages[-3:]
        assert np.array_equal(mask.image[0], blob(22) == 5000)
        assert mask.world_coordinate_system == "ras" and mask.timestamp == pytest.approx(1001)
        assert np.diag(mask.ijk_to_world_matrix) == pytest.approx([1.0, 1.5, 5.0, 1.0])
        assert centroid.matrix[:3, 3] == pytest.approx([15.0, 22 * 1.5, 0.0])
        assert json.loads(result.string)["moved_mm"] == [3.0, 0.0]


def test_a_port_in_use_is_named():
    pytest.importorskip("pyigtl")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        source = open_source(f"openigtlink-listen://127.0.0.1:{taken.getsockname()[1]}", "sagittal", Path())
        with pytest.raises(InputError, match="expected a port to listen on"):
            asyncio.run(first_items(source, 1))


def test_without_pyigtl_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyigtl", None)
    with pytest.raises(InputError, match=r"pip install 'cinetrack\[live\]'"):
        open_source("openigtlink://127.0.0.1:18944", "sagittal", Path())


@pytest.mark.parametrize(
    "text", ["ftp://scanner", "openigtlink://scanner", "openigtlink://host:port", "/no/such/folder"]
)
def test_a_source_that_there_is_not_is_named(text):
    with pytest.raises(InputError, match="expected"):
        open_source(text, "sagittal", Path())


# The stream


class Playing:
    """A source that gives what it is told, with waits between."""

    paced = True

    def __init__(self, *items) -> None:
        self._items = items

    async def items(self):
        for item in self._items:
            if isinstance(item, float):
                await asyncio.sleep(item)
            else:
                yield item

    async def send(self, result) -> None: ...

    async def close(self) -> None: ...


def streamed(folder: Path, source, **settings) -> list[dict]:
    """Run a stream; the lines that it logged."""

    async def run() -> None:
        session = LiveSession(BlobModel(), first_mask(), late="all")
        with SessionLog(folder, {"sagittal": first_mask()}, {}) as log:
            await asyncio.wait_for(Stream(source, session, log, **settings).run(), 10)

    asyncio.run(run())
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def test_a_pause_is_noted_and_tracking_goes_on_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr("cinetrack.live.stream.PAUSE_S", 0.2)
    lines = streamed(tmp_path, Playing(live_frame(0), 0.5, live_frame(1)))
    assert [line.get("event", line.get("status")) for line in lines] == ["tracked", "pause", "resumed", "tracked"]


def test_a_stream_ends_by_itself_where_nothing_comes_any_more(tmp_path):
    lines = streamed(tmp_path, Playing(live_frame(0), 60.0), stop_after_s=0.2)
    assert [line["status"] for line in lines] == ["tracked"]


def test_a_stream_of_nothing_but_unreadable_files_says_so_and_ends_by_itself(tmp_path, caplog):
    lines = streamed(tmp_path, Playing(SourceEvent("unreadable", "0.mha: expected a frame"), 60.0), stop_after_s=0.2)
    assert lines[0]["event"] == "unreadable" and all("status" not in line for line in lines)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "unreadable: 0.mha: expected a frame"
    ]


def test_an_answer_that_cannot_be_given_ends_the_stream_with_its_error(tmp_path):
    source = Playing(live_frame(0), live_frame(1), 60.0)

    async def broken(_result) -> None:
        raise BrokenPipeError("nobody reads")

    source.send = broken
    with pytest.raises(BrokenPipeError):
        streamed(tmp_path, source)


@pytest.mark.parametrize("command", ["stream", "gate"])
def test_help_says_that_this_is_no_medical_device(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "No medical device: research and simulation." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stream"], "expected SOURCE and --output"),
        (["stream", "-", "-o", "x"], "expected --mask"),
        (
            ["stream", "-", "-o", "x", "--mask", "oblique=a.mha"],
            "expected each of sagittal, coronal, axial at most once",
        ),
        (["stream", "-", "-o", "x", "--mask", "nothing.mha"], "nothing.mha: expected a mask, found no such file"),
        (
            ["stream", "-", "-o", "x", "--mask", "a.mha", "--look-ahead", "-3"],
            "--look-ahead: expected a positive number",
        ),
    ],
)
def test_bad_arguments_end_with_2_and_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
