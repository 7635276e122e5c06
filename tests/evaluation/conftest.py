"""A shared machine may stall a single example: hypothesis' time limit per example is off here."""

from hypothesis import settings

settings.register_profile("no_deadline")
settings.load_profile("no_deadline")
