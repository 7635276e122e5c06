"""A live session: frames are put in at the scanner's pace, results come out, and the model runs beside both.

No medical device: research and simulation.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from types import TracebackType
from typing import TypeVar

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.centroid import centroids
from cinetrack.gating import Gate
from cinetrack.live.frame import ONE_PLANE, FirstMask, LiveFrame, now_s
from cinetrack.live.model import LiveMask, LiveModel, LiveSteps
from cinetrack.live.planes import PlaneJoin, axes_of
from cinetrack.live.result import REJECTED, SKIPPED, TRACKED, LiveResult
from cinetrack.motion_prediction import Prediction, Predictor, make_predictor
from cinetrack.sequence.intensity import finite_frame

logger = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

LATE_POLICIES = ("newest", "all")
WARM_UP_STEPS = 3


class LiveSession:
    """Tracks frames as they come. Use it as an asynchronous context and iterate over it for the results.

    Args:
        model: anything with `start`, see `live.model.LiveModel`.
        first_masks: the outlined target, or one by plane; each belongs to the first frame of its plane.
        late: what happens to frames that wait while the model is busy: "newest" skips all but the newest of each
            plane, "all" tracks every one and makes `put` wait where more than `capacity` are waiting.
        look_ahead_s: how far ahead the centroid is predicted; None for not at all.
        frame_rate_hz: of each plane, for the prediction.
        gate: decides on the beam; None for no decision.
        capacity: results, and under "all" frames, held at most; then `put` waits.
    Raises:
        InputError: a policy, a plane or a capacity that there is not.
    """

    def __init__(
        self,
        model: LiveModel,
        first_masks: FirstMask | Mapping[str, FirstMask],
        *,
        late: str = "newest",
        look_ahead_s: float | None = None,
        frame_rate_hz: float = 8.0,
        gate: Gate | None = None,
        capacity: int = 64,
    ) -> None:
        if late not in LATE_POLICIES:
            raise InputError(f"late frames: expected one of {', '.join(LATE_POLICIES)}, found {late}")
        if capacity < 1:
            raise InputError(f"capacity: expected 1 or more, found {capacity}")
        masks = {ONE_PLANE: first_masks} if isinstance(first_masks, FirstMask) else dict(first_masks)
        for plane in masks:
            axes_of(plane)
        self._tracks = {plane: _PlaneTrack(model, first, look_ahead_s, frame_rate_hz) for plane, first in masks.items()}
        self._join = PlaneJoin() if len(masks) > 1 else None
        self._late, self._capacity, self._gate = late, capacity, gate
        self._waiting: deque[LiveFrame] = deque()
        self._changed = asyncio.Condition()
        self._results: asyncio.Queue[LiveResult | None] = asyncio.Queue(capacity)
        self._ended = False
        self._failure: Exception | None = None
        self._executor = ThreadPoolExecutor(1, "cinetrack-live")
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LiveSession:
        """Warm the model up on made-up frames, so that the first real one does not pay for what is done once."""
        try:
            for track in self._tracks.values():
                await self._beside(track.warm_up)
        except BaseException:
            self._executor.shutdown(wait=False, cancel_futures=True)
            raise
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is under way; a step of the model that is running ends by itself and its result is dropped."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def put(self, frame: LiveFrame) -> None:
        """Hand a frame in. Waits only where `capacity` is reached. Raises RuntimeError after `end`."""
        if self._ended:
            raise RuntimeError("the live session has ended")
        refusal = self._refusal(frame)
        if refusal is not None:
            await self._results.put(self._rejected(frame, refusal))
            return
        skipped = []
        async with self._changed:
            if self._late == "newest":
                track = self._tracks[frame.plane]
                # The frame that the mask was drawn on starts the plane and is never skipped.
                skipped = [old for old in self._waiting if old.plane == frame.plane and old is not track.first_frame]
                for old in skipped:
                    self._waiting.remove(old)
            else:
                await self._changed.wait_for(lambda: len(self._waiting) < self._capacity)
            self._tracks[frame.plane].first_frame = self._tracks[frame.plane].first_frame or frame
            self._waiting.append(frame)
            self._changed.notify_all()
        for old in skipped:
            await self._results.put(LiveResult(old, SKIPPED, now_s()))

    async def end(self) -> None:
        """Say that no frame follows: what waits is still tracked, then the results end."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def __aiter__(self) -> AsyncIterator[LiveResult]:
        """One result for each frame put in, until `end`. Raises what the model raised, refused frames apart."""
        while (result := await self._results.get()) is not None:
            yield result
        if self._failure is not None:
            raise self._failure

    def _refusal(self, frame: LiveFrame) -> str | None:
        """Why a frame cannot be tracked, or None."""
        if frame.plane not in self._tracks:
            return f"expected a frame of {', '.join(self._tracks)}, found {frame.plane}"
        expected = self._tracks[frame.plane].first.mask.shape
        if frame.image.shape != expected:
            found = frame.image.shape
            return f"expected the first mask's {expected[0]} x {expected[1]} pixels, found {found[0]} x {found[1]}"
        return None

    def _rejected(self, frame: LiveFrame, reason: str) -> LiveResult:
        """A frame that says nothing of the target: the beam is held."""
        return LiveResult(frame, REJECTED, now_s(), reason, beam_on=None if self._gate is None else False)

    async def _work(self) -> None:
        try:
            while (frame := await self._next()) is not None:
                await self._results.put(await self._decided(frame))
        except Exception as error:  # the reader gets it; it must not wait for ever
            self._failure = error
        await self._results.put(None)

    async def _next(self) -> LiveFrame | None:
        """The frame to track next; None at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            frame = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return frame

    async def _decided(self, frame: LiveFrame) -> LiveResult:
        track = self._tracks[frame.plane]
        began = perf_counter()
        try:
            found = await self._beside(track.step, frame.image)
        except InputError as error:
            if track.started:  # of one frame; the next one may be better
                return self._rejected(frame, str(error))
            raise
        step_s = perf_counter() - began
        moved = track.moved_mm(found.mask)
        lost = bool(np.isnan(moved).any()) or found.object_score < 0
        if lost:
            moved = np.full(2, np.nan)
        prediction = track.predict(frame, moved)
        joined = None
        if self._join is not None:
            self._join.add(frame.plane, frame.acquired_s, moved)
            joined = self._join.at(now_s())
        beam_on = None
        if self._gate is not None:
            beam_on = self._gate.decide(moved if prediction is None else prediction.position_mm)
        return LiveResult(
            frame,
            TRACKED,
            now_s(),
            "",
            found.mask,
            found.object_score,
            moved,
            lost,
            prediction,
            beam_on,
            joined,
            step_s,
        )

    async def _beside(self, work: Callable[..., Outcome], *arguments: object) -> Outcome:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)


class _PlaneTrack:
    """The model's state on one plane."""

    def __init__(self, model: LiveModel, first: FirstMask, look_ahead_s: float | None, frame_rate_hz: float) -> None:
        self.first, self._model = first, model
        self.first_frame: LiveFrame | None = None
        self._steps: LiveSteps | None = None
        self._centre = centroids(first.mask[None])[0]
        self._predictor: Predictor | None = None
        if look_ahead_s is not None:
            self._predictor = make_predictor("regression", look_ahead_s, frame_rate_hz)
        self._latest_s = -np.inf

    @property
    def started(self) -> bool:
        """Whether the model has taken the first frame."""
        return self._steps is not None

    def warm_up(self) -> None:
        """Run the model on made-up frames and forget it, so that what is done once is done before the first frame."""
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 1000, (WARM_UP_STEPS + 1, *self.first.mask.shape)).astype(np.uint16)
        steps = self._model.start(frames[0], self.first.mask, self.first.spacing_mm)
        for frame in frames[1:]:
            steps.step(frame)

    def step(self, image: np.ndarray) -> LiveMask:
        """Start on the first frame, step on later ones."""
        image, bad = finite_frame(image)
        if bad:
            logger.warning(
                "live frame: %d pixels were NaN or infinite; each counts as the frame's smallest finite value", bad
            )
        if self._steps is None:
            self._steps = self._model.start(image, self.first.mask, self.first.spacing_mm)
            return LiveMask(self.first.mask.copy())
        return self._steps.step(image)

    def moved_mm(self, mask: np.ndarray) -> np.ndarray:
        """(2,) displacement of the mask's centroid from the first outline's; NaN where the mask is empty."""
        return np.asarray((centroids(mask[None])[0] - self._centre) * self.first.spacing_mm)

    def predict(self, frame: LiveFrame, moved_mm: np.ndarray) -> Prediction | None:
        """The displacement ahead; NaN where the frame is no later than the one before it by its own time stamp."""
        if self._predictor is None:
            return None
        if frame.acquired_s <= self._latest_s:
            return Prediction(np.full(2, np.nan), np.full(2, np.nan))
        self._latest_s = frame.acquired_s
        return self._predictor.step(frame.acquired_s, moved_mm)
