"""Two bar charts beside each other, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from rounds import Peer

PANELS = (("fps", "frames a second", "#2a7f62"), ("peak_mb", "peak memory, MB", "#7a5195"))
NAMES, WIDTH, ROW, TOP = 230, 250, 26, 34


def svg(peers: Sequence[Peer]) -> str:
    """Return the picture of every peer that was measured."""
    measured = [peer for peer in peers if peer.results]
    width, height = NAMES + len(PANELS) * (WIDTH + 60), TOP + len(measured) * ROW + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for row, peer in enumerate(measured):
        y = TOP + row * ROW + 16
        lines.append(f'<text x="{NAMES - 10}" y="{y}" text-anchor="end">{escape(peer.name)}</text>')
    for number, panel in enumerate(PANELS):
        lines += _panel(measured, NAMES + number * (WIDTH + 60), *panel)
    return "\n".join([*lines, "</svg>", ""])


def _panel(peers: Sequence[Peer], x: int, figure: str, title: str, colour: str) -> Iterator[str]:
    most = max((peer.median(figure) for peer in peers), default=1.0)
    yield f'<text x="{x}" y="20" font-weight="bold">{title}</text>'
    for row, peer in enumerate(peers):
        value, y = peer.median(figure), TOP + row * ROW
        length = value / most * WIDTH
        yield f'<rect x="{x}" y="{y}" width="{length:.1f}" height="20" fill="{colour}"/>'
        yield f'<text x="{x + length + 5:.1f}" y="{y + 15}">{value:.0f}</text>'
