"""The running pipeline. The only room that wires the others together."""
