"""The one adapter to sam2: its model, its image transform, its memory bank, as a stream."""
