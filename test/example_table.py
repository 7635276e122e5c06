"""The example's table: Dice and seconds a frame of each bundle that test/run_example.sh ran."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean


def main(folder: Path) -> None:
    print("| bundle | Dice | HD95 (px) | s/frame |\n|---|---|---|---|")
    for bundle in ("default", "registration", "static"):
        means = json.loads((folder / f"{bundle}.json").read_text())["aggregates"]
        per_frame = mean(seconds_a_frame(path) for path in sorted((folder / bundle).glob("*/prediction.json")))
        print(
            f"| {bundle} | {means['dice_similarity_coefficient']:.4f} | {means['hausdorff_distance_95']:.2f} "
            f"| {per_frame:.4f} |"
        )


def seconds_a_frame(record: Path) -> float:
    prediction = json.loads(record.read_text())
    return sum(prediction["seconds"]["stages"].values()) / prediction["frame_count"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
