"""The same clip and model through MediaPipe, the usual loop, OpenCV, and this package.

``python benchmarks/peers`` measures, prints the table, and puts it with its plot into docs/.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import plot
import report
import rounds

from edge_ssd.models.loading import load

SHARED = rounds.ROOT.parent / "shared"
MODEL = SHARED / "models" / "ssd_mobilenet_v1_coco_quant_with_metadata.tflite"
CLIP = SHARED / "video" / "one-by-one-person-detection.mp4"
DOCS = rounds.ROOT / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="with TFLite metadata")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--frames", type=int, default=300, help="of each peer, each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of performance.md")
    given = parser.parse_args()
    for path in (given.model, given.clip, given.docs / "performance.md"):
        if not path.exists():
            sys.exit(f"error: {path} does not exist; name another one")
    with tempfile.TemporaryDirectory() as folder:
        peers = rounds.peers(given.model, Path(folder))
        for line in rounds.measure(peers, given.clip, given.frames, given.rounds):
            print(line, file=sys.stderr)
    loops = [peer for peer in peers if peer.script == rounds.LOOP]
    if not any(peer.results for peer in loops):
        sys.exit(f"error: the loop to compare with fails ({loops[0].problem}); name a stock file")
    labels = load(str(given.model)).labels
    setting = report.Setting(given.clip.name, given.model.name, given.frames, given.rounds, labels)
    table = report.markdown(peers, setting)
    print(table)
    report.insert(given.docs / "performance.md", table)
    (given.docs / "performance.svg").write_text(plot.svg(peers), "utf-8")


if __name__ == "__main__":
    main()
