"""Model bundles: a folder with weights, their configuration and their checksums, verified before use."""

from cinetrack.bundle.lookup import bundled, find_bundle
from cinetrack.bundle.manifest import Bundle, open_bundle

__all__ = ["Bundle", "bundled", "find_bundle", "open_bundle"]
