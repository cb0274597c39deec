"""Frame to RawHeads: preprocessing, the runtimes, and what runs a model."""
