"""A label: what one person said about one sequence, as the files of a folder.

masks.png               indices of the objects on frame 0 (none where the image is bad)
prompts.json            see `given_prompts`
scores.json             {"objects": [score of each mask on frame 0]}; null where its segmenter gives none
meta.json               who, when, with what, of which sequence
propagated.mha          indices of the objects on every frame, where the labeller saw and accepted them
propagated_scores.json  their scores, see `track_scores`
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from cinetrack.errors import InputError
from cinetrack.labelling.given_prompts import MOST_FRAMES, GivenPrompt, prompts_from_json, prompts_to_json
from cinetrack.labelling.index_masks import from_png, to_png
from cinetrack.sequence.json_files import parse_json

COMMENT_LIMIT = 500  # characters


@dataclass(frozen=True)
class LabelMeta:
    """Who labelled which sequence, when and with what.

    Attributes:
        kind: "label", or "bad_image" for a sequence set aside with a comment.
        user: the labeller's name.
        time: ISO 8601 in UTC.
        frame: the labelled frame, always 0; corrections are in the prompts.
        frame_count: of the sequence.
        bundle, bundle_fingerprint, segmenter: what made the masks; of `propagated.mha` too, where there is one.
        propagated: whether the labeller accepted the masks of all frames.
    """

    case_id: str
    patient_id: str
    kind: Literal["label", "bad_image"]
    user: str
    time: str
    tool_version: str
    frame_count: int
    bundle: str
    bundle_fingerprint: str
    segmenter: str
    propagated: bool = False
    comment: str = ""
    frame: int = 0


@dataclass(frozen=True, eq=False)
class Label:
    """Attributes:
    masks: (H, W) uint8 indices on frame 0; None where the image is bad.
    propagated: the bytes of propagated.mha and propagated_scores.json, or neither.
    """

    meta: LabelMeta
    masks: np.ndarray | None = None
    prompts: list[GivenPrompt] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    propagated: tuple[bytes, bytes] | None = None

    def __post_init__(self) -> None:
        if (self.masks is None) != (self.meta.kind == "bad_image"):
            raise InputError(f"{self.meta.case_id}: expected masks with a label and none with a bad image")
        if self.meta.propagated != (self.propagated is not None):
            raise InputError(f"{self.meta.case_id}: expected propagated masks exactly where the label says so")
        if len(self.meta.comment) > COMMENT_LIMIT:
            raise InputError(f"comment: expected at most {COMMENT_LIMIT} characters, found {len(self.meta.comment)}")

    def to_files(self) -> dict[str, bytes]:
        """File name -> content."""
        files = {"meta.json": _json(asdict(self.meta))}
        if self.masks is not None:
            files["masks.png"] = to_png(self.masks)
            files["prompts.json"] = _json(prompts_to_json(self.prompts))
            files["scores.json"] = _json({"objects": self.scores})
        if self.propagated is not None:
            files["propagated.mha"], files["propagated_scores.json"] = self.propagated
        return files

    @classmethod
    def from_files(cls, files: dict[str, bytes], where: str) -> Label:
        """Read what `to_files` wrote. Raises InputError with `where` and the file's name where one is unusable."""
        meta = meta_from_json(_parse(files, "meta.json", where), f"{where}/meta.json")
        if meta.kind == "bad_image":
            return cls(meta)
        if "masks.png" not in files:
            raise InputError(f"{where}/masks.png: expected the masks of a label, found none")
        scores = _parse(files, "scores.json", where)
        if not isinstance(scores, dict) or not isinstance(scores.get("objects"), list):
            raise InputError(f'{where}/scores.json: expected {{"objects": [...]}}, found {scores!r:.60}')
        if not all(score is None or _is_number(score) for score in scores["objects"]):
            raise InputError(f"{where}/scores.json: expected numbers or null as scores, found {scores!r:.60}")
        propagated = None
        if meta.propagated:
            for name in ("propagated.mha", "propagated_scores.json"):
                if name not in files:
                    raise InputError(f"{where}/{name}: expected a file of a label with propagated masks, found none")
            propagated = (files["propagated.mha"], files["propagated_scores.json"])
        masks = from_png(files["masks.png"], f"{where}/masks.png")
        return cls(
            meta,
            masks,
            prompts_from_json(_parse(files, "prompts.json", where), f"{where}/prompts.json", masks.shape),
            scores["objects"],
            propagated,
        )


def meta_from_json(document: Any, name: str) -> LabelMeta:
    """The meta data of a parsed meta.json. Raises InputError with `name` where it is anything else."""
    try:
        meta = LabelMeta(**document)
    except TypeError as error:
        raise InputError(f"{name}: expected a label's meta data, found something else ({error})") from None
    texts = [value for key, value in asdict(meta).items() if key not in ("frame", "frame_count", "propagated")]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{name}: expected a label's meta data, found numbers or lists where texts belong")
    if meta.kind not in ("label", "bad_image"):
        raise InputError(f"{name}: expected a label's meta data, found the kind {meta.kind!r:.60}")
    if isinstance(meta.frame_count, bool) or not isinstance(meta.frame_count, int):
        raise InputError(f"{name}: expected a label's meta data, found the frame count {meta.frame_count!r:.60}")
    if not 0 <= meta.frame_count <= MOST_FRAMES:
        raise InputError(f"{name}: expected a label's meta data, found an absurd frame count")
    return meta


def _parse(files: dict[str, bytes], name: str, where: str) -> Any:
    if name not in files:
        raise InputError(f"{where}/{name}: expected a file of a label, found none")
    try:
        return parse_json(files[name])
    except (ValueError, RecursionError) as error:  # ValueError: no json, no UTF-8, or digits without end
        raise InputError(f"{where}/{name}: expected json, found something unreadable ({error})") from None


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()
