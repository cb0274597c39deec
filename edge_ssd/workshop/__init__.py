"""Work on model files: inspect, prepare, requantise, pull."""
