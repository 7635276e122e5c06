"""A live session keeps up with its source, bounds what it holds, and can be ended at any time."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from blob_model import SHAPE, BlobModel, blob, first_mask, live_frame

from cinetrack.errors import InputError
from cinetrack.gating import DistanceWindow, Gate
from cinetrack.live import LiveMask, LiveSession
from cinetrack.live.latency import LatencyRecord


async def results_of(session: LiveSession, frames) -> list:
    async with session:

        async def give() -> None:
            for frame in frames:
                await session.put(frame)
            await session.end()

        giving = asyncio.create_task(give())
        found = [result async for result in session]
        await giving
    return found


def test_every_frame_gets_a_mask_and_the_displacement_in_mm():
    frames = [live_frame(number) for number in range(6)]
    results = asyncio.run(results_of(LiveSession(BlobModel(), first_mask(), late="all"), frames))
    assert [result.status for result in results] == ["tracked"] * 6
    assert [result.moved_mm.tolist() for result in results] == [[1.5 * (n % 5), 0.0] for n in range(6)]
    assert all(result.latency_s > 0 for result in results)


def test_the_newest_frame_is_tracked_where_the_model_is_late_and_the_first_is_never_skipped():
    frames = [live_frame(number) for number in range(30)]
    results = asyncio.run(results_of(LiveSession(BlobModel(step_s=0.02), first_mask()), frames))
    by_number = {result.frame.number: result.status for result in results}
    assert sorted(by_number) == list(range(30))
    assert by_number[0] == by_number[29] == "tracked"
    assert list(by_number.values()).count("skipped") > 20


def test_all_frames_are_tracked_where_that_is_asked_for_and_put_waits_at_the_capacity():
    async def run() -> list[int]:
        waiting = []
        async with LiveSession(BlobModel(step_s=0.01), first_mask(), late="all", capacity=3) as session:
            for number in range(20):
                if number and not waiting:
                    await asyncio.sleep(0)
                try:
                    await asyncio.wait_for(session.put(live_frame(number)), 0.3)
                except TimeoutError:
                    waiting.append(number)
                    break
        return waiting

    # Nobody reads: 3 results, one that waits to be put, 3 frames waiting and the next one waits outside.
    assert asyncio.run(run()) == [7]


def test_a_frame_of_another_size_is_rejected_and_the_session_goes_on():
    frames = [live_frame(0), live_frame(1, np.zeros((20, 30), np.uint16)), live_frame(2)]
    gate = Gate(DistanceWindow(50.0))
    results = asyncio.run(results_of(LiveSession(BlobModel(), first_mask(), late="all", gate=gate), frames))
    by_number = {result.frame.number: result for result in results}
    assert [by_number[number].beam_on for number in range(3)] == [True, False, True]
    assert by_number[1].status == "rejected"
    assert by_number[1].reason == "expected the first mask's 40 x 30 pixels, found 20 x 30"
    assert by_number[2].status == "tracked"


def test_a_lost_target_holds_the_beam_and_one_found_again_may_turn_it_on():
    images = [blob(), blob(21), blob(-1), blob(21), blob(30)]
    frames = [live_frame(number, image) for number, image in enumerate(images)]
    session = LiveSession(BlobModel(), first_mask(), late="all", gate=Gate(DistanceWindow(4.0)))
    results = asyncio.run(results_of(session, frames))
    assert [result.beam_on for result in results] == [True, True, False, True, False]
    assert [result.lost for result in results] == [False, False, True, False, False]


def test_the_prediction_sees_acquisition_times_and_gives_a_deviation():
    async def run() -> list:
        frames = []
        for number in range(80):
            row = 20 + round(8 * np.sin(np.pi * number / 30) ** 2)
            frame = live_frame(number, blob(row))
            frames.append(type(frame)(frame.image, number, 1000 + number / 8, frame.received_s))
        return await results_of(LiveSession(BlobModel(), first_mask(), late="all", look_ahead_s=0.3), frames)

    results = asyncio.run(run())
    prediction = results[-1].prediction
    assert np.isfinite(prediction.position_mm).all() and np.isfinite(prediction.deviation_mm).all()
    assert not np.array_equal(prediction.position_mm, results[-1].moved_mm)


def test_interleaved_planes_keep_a_track_each_and_join_to_three_axes():
    frames = []
    for number in range(6):
        plane = "sagittal" if number % 2 == 0 else "coronal"
        frames.append(live_frame(number, blob(20 + number, 15 + number % 2), plane))
    masks = {"sagittal": first_mask(), "coronal": first_mask()}
    results = asyncio.run(results_of(LiveSession(BlobModel(), masks, late="all"), frames))
    assert np.isnan(results[0].joined.position_mm[2]) and np.isnan(results[0].joined.age_s[2])
    last = results[-1].joined
    assert last.position_mm.tolist() == [1.5 * 5, 0.0, 1.0]  # SI of the coronal frame, which is newer
    assert last.age_s[1] > last.age_s[0] == last.age_s[2]


def test_a_plane_without_a_mask_is_rejected():
    (result,) = asyncio.run(results_of(LiveSession(BlobModel(), first_mask()), [live_frame(0, plane="coronal")]))
    assert result.status == "rejected" and "expected a frame of sagittal, found coronal" in result.reason


def test_leaving_the_context_cancels_at_once():
    async def run() -> float:
        async with LiveSession(BlobModel(step_s=0.2), first_mask(), late="all") as session:
            for number in range(10):
                await session.put(live_frame(number))
            await asyncio.sleep(0.05)
            began = time.perf_counter()
        return time.perf_counter() - began

    assert asyncio.run(run()) < 0.15


def test_a_frame_that_the_model_refuses_is_rejected_and_the_session_goes_on(monkeypatch):
    def step(steps, frame):
        if frame.max() < 5000:
            raise InputError("expected a target, found none")
        return LiveMask(frame == 5000)

    monkeypatch.setattr("blob_model.BlobSteps.step", step)
    monkeypatch.setattr("cinetrack.live.session._PlaneTrack.warm_up", lambda track: None)
    frames = [live_frame(0), live_frame(1, blob(-1)), live_frame(2)]
    results = asyncio.run(results_of(LiveSession(BlobModel(), first_mask(), late="all"), frames))
    assert [result.status for result in results] == ["tracked", "rejected", "tracked"]
    assert results[1].reason == "expected a target, found none"


def test_an_error_of_the_model_reaches_the_reader():
    frames = [live_frame(number) for number in range(4)]
    model = BlobModel(fails_at=2)
    with pytest.raises(ZeroDivisionError, match="the model broke"):
        session = LiveSession(model, first_mask(), late="all")
        session._tracks["sagittal"].warm_up = lambda: None
        asyncio.run(results_of(session, frames))


def test_the_model_is_warmed_up_before_the_first_frame():
    async def run() -> int:
        model = BlobModel()
        async with LiveSession(model, first_mask()):
            return model.started

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"late": "never"}, "expected one of newest, all, found never"),
        ({"capacity": 0}, "expected 1 or more"),
        ({"look_ahead_s": 9.0}, "expected 0 to 2 s"),
    ],
)
def test_unusable_settings_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        LiveSession(BlobModel(), first_mask(), **arguments)


def test_a_plane_that_there_is_not_is_named():
    with pytest.raises(InputError, match="expected one of sagittal, coronal, axial, found oblique"):
        LiveSession(BlobModel(), {"oblique": first_mask()})


def test_latency_is_counted_from_the_acquisition_and_misses_against_the_frame_interval():
    frames = [live_frame(number) for number in (0, 1, 2, 4)]
    results = asyncio.run(results_of(LiveSession(BlobModel(), first_mask(), late="all"), frames))
    record = LatencyRecord()
    for index, result in enumerate(results):
        decided = result.frame.acquired_s + (0.05, 0.06, 0.2, 0.05)[index]
        record.add(type(result)(result.frame, "tracked", decided, mask=result.mask, step_s=0.01))
    summary = record.summary(8.0)
    assert summary["frames"] == {"received": 4, "tracked": 4, "skipped": 0, "rejected": 0, "missing": 1}
    assert summary["deadline_ms"] == 125 and summary["deadline_misses"] == 1
    latency = summary["acquisition_to_decision_ms"]
    assert latency["max"] == pytest.approx(200, abs=0.01)
    assert latency["p50"] == pytest.approx(55, abs=0.01)
    assert latency["jitter"] == pytest.approx((10 + 140 + 150) / 3, abs=0.01)
    assert set(record.summary(8.0, paced=False)) == {"frames", "step_ms"}


def test_an_empty_record_has_counts_alone():
    assert LatencyRecord().summary(None) == {
        "frames": {"received": 0, "tracked": 0, "skipped": 0, "rejected": 0, "missing": 0}
    }


def test_nan_pixels_do_not_end_a_session():
    image = blob(21).astype(np.float32)
    image[0, 0] = np.nan
    frames = [live_frame(0), live_frame(1, image)]
    results = asyncio.run(results_of(LiveSession(BlobModel(), first_mask(), late="all"), frames))
    assert results[1].status == "tracked" and results[1].mask.shape == SHAPE
