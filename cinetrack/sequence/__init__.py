"""The typed cine-MR sequence, and the file formats it is read from and written to."""

from cinetrack.sequence.cine_sequence import CineSequence, TrackingCase
from cinetrack.sequence.grand_challenge import read_input_folder
from cinetrack.sequence.trackrad_dataset import CaseFiles, find_cases

__all__ = ["CaseFiles", "CineSequence", "TrackingCase", "find_cases", "read_input_folder"]
