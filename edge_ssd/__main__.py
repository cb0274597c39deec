"""``python -m edge_ssd`` is ``edge-ssd``."""

from edge_ssd.cli import main

main(prog_name="edge-ssd")
