"""Track, refine, fill holes: the method end to end, over one case or in the platform's container."""
