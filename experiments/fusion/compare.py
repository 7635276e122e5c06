"""The weighted sum of today against the rule that it replaced, on the same evidence of the shipped default.

    python experiments/fusion/compare.py --cases 10 --frames 30 --seed 91000 --output experiments/fusion/result.json

The old rule summed SAM2 and nnU-Net first, clipped that sum to 8, and dropped it altogether where SAM2 called the
target absent. Fusion does not feed back into any source, so one pass over a case gives the masks of both rules.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from cinetrack.evaluation.case_metrics import case_metrics
from cinetrack.evaluation.metric_names import DICE
from cinetrack.phantom.case import draw_case
from cinetrack.phantom.dataset import case_generator
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.phantom.parameters import DIFFICULTIES
from cinetrack.pipeline.model import load_model
from cinetrack.tracking import target as target_module
from cinetrack.tracking.evidence.source import Evidence
from cinetrack.tracking.fusion import fused
from cinetrack.tracking.postprocessing.fill_holes import fill_holes


def old_rule(found: list) -> np.ndarray:
    """(H, W) log-odds by the rule before."""
    networks = [(source, evidence) for source, evidence in found if source.limit is not None]
    absent = any(evidence.object_score < 0 for _, evidence in networks)
    total = 0.0
    for source, evidence in networks:
        logits = evidence.logits
        if source.name == "sam2" and len(networks) > 1:
            logits = np.clip(logits, -8, 8) * (0.0 if evidence.object_score < 0 else 1.0)
        total = total + source.weight * logits
    outline = sum(source.weight * evidence.logits for source, evidence in found if source.limit is None)
    return np.clip(total, -8, 8) * (0.0 if absent else 1.0) + outline


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10, help="of each difficulty")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    model = load_model("default", "cpu")
    rows, absent_frames = [], 0
    for difficulty in DIFFICULTIES:
        for number in range(1, args.cases + 1):
            request = PhantomRequest(frames=args.frames, difficulty=difficulty)
            seed = args.seed + DIFFICULTIES.index(difficulty)
            drawn = draw_case(case_generator(seed, number), request)
            truth = drawn.masks[:, 0]
            kept: list[np.ndarray] = []
            absent = [0]

            def both(found, kept=kept, absent=absent) -> Evidence:
                absent[0] += any(evidence.object_score < 0 for _, evidence in found)
                kept.append(old_rule(found) if len(found) > 1 else found[0][1].logits)
                return fused(found)

            target_module.fused = both
            session = model.start(drawn.frames[0], truth[0])
            new, old = [truth[0]], [truth[0]]
            for frame in drawn.frames[1:]:
                new.append(session.step(frame).mask)
                [tracked] = session._tracked
                old.append(fill_holes(tracked.reference.carried_back(kept[-1].astype(np.float32)) > 0))
            absent_frames += absent[0]
            scores = {
                rule: case_metrics(np.stack(masks), truth, drawn.parameters.region, (1.0, 1.0)).scores
                for rule, masks in (("old", old), ("new", new))
            }
            rows.append({"difficulty": difficulty, "number": number, "absent_frames": absent[0], **scores})
            difference = scores["new"][DICE.key] - scores["old"][DICE.key]
            print(f"{difficulty} {number}: Dice {scores['new'][DICE.key]:.4f}, {difference:+.4f}", file=sys.stderr)
    args.output.write_text(json.dumps({"arguments": vars(args), "cases": rows}, indent=1, default=str) + "\n")
    differences = np.array([row["new"][DICE.key] - row["old"][DICE.key] for row in rows])
    draws = np.random.default_rng(0).choice(differences, (10000, len(differences))).mean(axis=1)
    low, high = np.percentile(draws, (2.5, 97.5))
    print(
        f"Dice, new less old, over {len(rows)} cases: {differences.mean():+.5f} ({low:+.5f} to {high:+.5f}); "
        f"better on {(differences > 0).sum()}, worse on {(differences < 0).sum()}; {absent_frames} absent frames"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
