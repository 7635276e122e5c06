"""Track, refine, fill holes: the method end to end, over one case, a dataset or the platform's container."""
