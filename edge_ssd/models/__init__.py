"""What a model file is: its graph, its manifest, its labels, and where to find it."""
