"""The photo that comes with the package, and what the bundled model finds in it."""

from pathlib import Path

PHOTO = Path(__file__).parent / "data" / "golden.jpg"
"""300x200 pixels."""
EXPECTED = PHOTO.with_suffix(".json")
"""Its origin and licence; model, label, score and box (normalised) of the best detection."""
