"""OpenIGTLink, which 3D Slicer and research scanners speak: frames come as IMAGE, answers go back the same way.

Messages are pyigtl's; the connections are asyncio's, because pyigtl's do not notice that the other side has gone
(version 0.3.4: its server then accepts nobody else) and keep one message a device, so that frames that come in a burst
are lost.

For each tracked frame go back: IMAGE "Mask" (uint8, the frame's own matrix and time stamp), TRANSFORM "Centroid" (the
centroid's place in the frame's coordinate system; not sent where the target is lost), and for every frame STRING
"Result", the line of the log as JSON. Where the frame's device names a plane, the names end in it: "Mask_coronal".

No medical device: research and simulation.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.centroid import centroids
from cinetrack.live.frame import LiveFrame, now_s
from cinetrack.live.result import LiveResult
from cinetrack.live.sources.source import Numbering, SourceEvent, plane_in

RETRY_S = 0.25
_LARGEST_BODY_BYTES = 256_000_000
_UNSENT_BYTES = 8_000_000  # of answers that a slow receiver has not taken; more are not sent
_AHEAD = 4  # frames read before they are asked for; then the sender waits


class _IgtlSource:
    """What client and server share. Implements `FrameSource`."""

    paced = True

    def __init__(self, host: str, port: int, usual_plane: str) -> None:
        self._igtl = import_pyigtl()
        self._host, self._port, self._usual_plane = host, port, usual_plane
        self._queue: asyncio.Queue[LiveFrame | SourceEvent] = asyncio.Queue(_AHEAD)
        self._writers: set[asyncio.StreamWriter] = set()
        self._slow: set[asyncio.StreamWriter] = set()
        self._count = 0
        self._numbering = Numbering()

    async def send(self, result: LiveResult) -> None:
        """Send an answer to everyone who is connected."""
        messages = self._answers(result)
        for writer in list(self._writers):
            if writer.transport.get_write_buffer_size() > _UNSENT_BYTES:
                if writer not in self._slow:
                    self._slow.add(writer)
                    # Not waited for: the one who empties the queue may be waiting for this answer.
                    with contextlib.suppress(asyncio.QueueFull):
                        self._queue.put_nowait(SourceEvent("slow", f"{_peer(writer)} does not take its answers"))
                continue
            self._slow.discard(writer)
            with contextlib.suppress(ConnectionError):
                writer.write(messages)

    def _answers(self, result: LiveResult) -> bytes:
        igtl, frame = self._igtl, result.frame
        matrix, system, device = frame.origin
        suffix = f"_{frame.plane}" if plane_in(device, "") else ""
        stamp = {"timestamp": frame.acquired_s}
        messages = []
        if result.mask is not None:
            image = result.mask.astype(np.uint8)[None]
            messages.append(igtl.ImageMessage(image, matrix, system, device_name=f"Mask{suffix}", **stamp))
            if not result.lost:
                row, column = centroids(result.mask[None])[0]
                place = np.eye(4)
                place[:3, 3] = (matrix @ [column, row, 0.0, 1.0])[:3]
                messages.append(igtl.TransformMessage(place, device_name=f"Centroid{suffix}", **stamp))
        messages.append(igtl.StringMessage(json.dumps(result.as_json()), device_name=f"Result{suffix}", **stamp))
        return b"".join(message.pack() for message in messages)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one connection until it ends."""
        peer = _peer(writer)
        await self._queue.put(SourceEvent("connected", peer))
        self._writers.add(writer)
        reason = "closed by the other side"
        try:
            while True:
                await self._queue.put(await self._next(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except InputError as error:
            reason = str(error)
        finally:
            self._writers.discard(writer)
            self._slow.discard(writer)
            writer.close()
        await self._queue.put(SourceEvent("disconnected", f"{peer}: {reason}"))

    async def _next(self, reader: asyncio.StreamReader) -> LiveFrame | SourceEvent:
        """The next frame, or why an image is none. Raises InputError where the stream is not OpenIGTLink."""
        base = self._igtl.messages.MessageBase
        while True:
            try:
                fields = base.parse_header(await reader.readexactly(base.IGTL_HEADER_SIZE))
            except (UnicodeDecodeError, struct.error):
                raise InputError("expected an OpenIGTLink header, found other bytes") from None
            if fields["header_version"] not in (1, 2, 3) or fields["body_size"] > _LARGEST_BODY_BYTES:
                raise InputError(
                    f"expected an OpenIGTLink header, found version {fields['header_version']} "
                    f"and {fields['body_size']} bytes"
                )
            body = await reader.readexactly(fields["body_size"])
            received = now_s()
            if fields["message_type"] != "IMAGE":
                continue
            self._count += 1
            message = base.create_message("IMAGE")
            try:
                message.unpack(fields, body)
                return self._frame(message, received)
            except (ValueError, KeyError, IndexError, struct.error, NotImplementedError, InputError) as error:
                return SourceEvent("unreadable", f"image {self._count - 1} of {fields['device_name']}: {error}")

    def _frame(self, message: Any, received: float) -> LiveFrame:
        pixels = message.image
        if sum(side > 1 for side in pixels.shape) != 2:
            raise InputError(
                f"expected one slice with one channel, found an image of {' x '.join(map(str, pixels.shape))}"
            )
        image = np.squeeze(pixels)
        image = image.astype(image.dtype.newbyteorder("="))  # a copy: the message's is a view of its bytes
        matrix = np.asarray(message.ijk_to_world_matrix, dtype=np.float64)
        # The first column is a step along i, which runs along a row: the distance of columns.
        spacing = (float(np.linalg.norm(matrix[:3, 1])), float(np.linalg.norm(matrix[:3, 0])))
        text = str(message.metadata.get("FrameNumber", ""))
        number = self._numbering.next(int(text) if text.isdecimal() else None)
        acquired = message.timestamp if message.timestamp > 0 else received
        plane = plane_in(message.device_name, self._usual_plane)
        origin = (matrix, message.world_coordinate_system, message.device_name)
        return LiveFrame(image, number, acquired, received, plane, spacing, origin)


class IgtlClientSource(_IgtlSource):
    """Connects to a scanner, or to Slicer's server, and again whenever the connection ends."""

    async def items(self) -> AsyncGenerator[LiveFrame | SourceEvent, None]:
        """See `FrameSource`; never ends by itself."""
        connecting = asyncio.create_task(self._keep_connected())
        try:
            while True:
                yield await self._queue.get()
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    async def close(self) -> None:
        """Close the connection."""
        for writer in list(self._writers):
            await _flush_and_close(writer)

    async def _keep_connected(self) -> None:
        told = False
        while True:
            try:
                reader, writer = await asyncio.open_connection(self._host, self._port)
            except OSError as error:
                if not told:
                    reason = f"{self._host}:{self._port}: {error.strerror or error}; trying again"
                    await self._queue.put(SourceEvent("unreachable", reason))
                told = True
                await asyncio.sleep(RETRY_S)
                continue
            told = False
            await self._receive(reader, writer)


class IgtlServerSource(_IgtlSource):
    """Waits for scanners or Slicer to connect; several may, and each gets all answers."""

    def __init__(self, host: str, port: int, usual_plane: str) -> None:
        super().__init__(host, port, usual_plane)
        self.port: int | None = None  # known once it listens; port 0 lets the system choose

    async def items(self) -> AsyncGenerator[LiveFrame | SourceEvent, None]:
        """See `FrameSource`; never ends by itself. Raises InputError where the port cannot be listened on."""
        try:
            server = await asyncio.start_server(self._receive, self._host, self._port)
        except OSError as error:
            raise InputError(
                f"{self._host}:{self._port}: expected a port to listen on, found {error.strerror or error}"
            ) from None
        self.port = server.sockets[0].getsockname()[1]
        yield SourceEvent("listening", f"{self._host}:{self.port}")
        try:
            while True:
                yield await self._queue.get()
        finally:
            server.close()

    async def close(self) -> None:
        """Close all connections."""
        for writer in list(self._writers):
            await _flush_and_close(writer)


def import_pyigtl() -> Any:
    """The pyigtl package. Raises InputError naming the extra that brings it."""
    try:
        import pyigtl
        import pyigtl.messages
    except ImportError:
        raise InputError(
            "OpenIGTLink: expected the package pyigtl, found none; pip install 'cinetrack[live]'"
        ) from None
    return pyigtl


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if name else "unknown"


async def _flush_and_close(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(writer.drain(), 1.0)
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 1.0)
