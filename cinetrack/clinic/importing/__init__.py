"""Cine-MR series in the formats that people have, made into TrackRAD2025 cases. One module a format."""
