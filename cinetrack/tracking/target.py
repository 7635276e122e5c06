"""One target of a session: what each source remembers of it, and what they say of it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cinetrack.tracking.evidence.source import Evidence, Source, TargetEvidence
from cinetrack.tracking.fusion import fused
from cinetrack.tracking.prompts import MaskPrompt, Prompt
from cinetrack.tracking.region import Region
from cinetrack.tracking.signed_distance import signed_distance
from cinetrack.tracking.stage_clock import StageClock
from cinetrack.tracking.view import View


@dataclass(frozen=True, eq=False)
class _Share:
    """A source, what it remembers of the target, and the surroundings that it is shown (None: whole frames)."""

    source: Source
    memory: TargetEvidence
    region: Region | None

    def seen(self, view: View) -> View:
        return view if self.region is None else view.part(self.region)

    def on_whole_frame(self, evidence: Evidence) -> Evidence:
        return evidence if self.region is None else replace(evidence, logits=self.region.back(evidence.logits))


class Target:
    """The sources' memories of one target, in the coordinates of its reference frame."""

    def __init__(self, sources: Sequence[Source], clock: StageClock) -> None:
        self._sources = tuple(sources)
        self._clock = clock
        self._shares: dict[int, _Share] = {}  # by the source's number; a source without one says nothing
        self._outline = np.zeros((0, 0), dtype=bool)

    def prompt(self, view: View, prompt: Prompt) -> tuple[np.ndarray, Evidence]:
        """Take the target's first prompt, or a correction.

        The source that makes masks of boxes and clicks is asked first; the others are given its mask.

        Returns:
            mask: (H, W) bool, as given, or as found from a box or clicks; it may then be empty.
            evidence: what the first source that has something to say says of this frame.
        """
        decoder = next((n for n, source in enumerate(self._sources) if source.decodes), None)
        evidence = None if decoder is None else self._prompted(decoder, view, prompt)
        if isinstance(prompt, MaskPrompt):
            mask = prompt.mask
        else:
            assert evidence is not None  # a source that decodes always answers
            mask = evidence.logits > 0
        for number, source in enumerate(self._sources):
            if number == decoder:
                continue
            if mask.any() and not (source.region_px is not None and _is_cut(mask)):
                said = self._prompted(number, view, MaskPrompt(mask))
                evidence = said if evidence is None else evidence
            else:
                self._shares.pop(number, None)
        self._outline = mask
        return mask, Evidence(signed_distance(mask)) if evidence is None else evidence

    def log_odds(self, view: View) -> Evidence:
        """The weighted sum of what the sources say of the next frame; where none says anything, the outline stands."""
        found = []
        for share in self._shares.values():
            with self._clock.stage(share.source.name):
                evidence = share.memory.log_odds(share.seen(view))
                if evidence is not None:
                    found.append((share.source, share.on_whole_frame(evidence)))
        with self._clock.stage("fusion"):
            return fused(found) if found else Evidence(signed_distance(self._outline))

    def copy(self) -> Target:
        """One that goes on by itself."""
        twin = Target(self._sources, self._clock)
        twin._shares = {number: replace(share, memory=share.memory.copy()) for number, share in self._shares.items()}
        twin._outline = self._outline
        return twin

    def _prompted(self, number: int, view: View, prompt: Prompt) -> Evidence | None:
        source, share = self._sources[number], self._shares.get(number)
        # What is remembered of one region says nothing in another one.
        if share is None or not source.remembers or not (share.region is None or share.region.holds(prompt)):
            region = None if source.region_px is None else Region.around(prompt, source.region_px, view.shape)
            share = _Share(source, source.target(), region)
        seen = prompt if share.region is None else share.region.into(prompt)
        with self._clock.stage(source.name):
            evidence = share.memory.prompt(share.seen(view), seen)
        self._shares[number] = share
        return None if evidence is None else share.on_whole_frame(evidence)


def _is_cut(mask: np.ndarray) -> bool:
    """Whether the frame's border cuts a mask: beyond it, stabilised frames show nothing but the border's own values, so
    that where the target ends is not to be seen."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())
