"""RawHeads to Detections: anchors, box decoding, non-maximum suppression. Pure functions."""

from edge_ssd.postprocess.postprocess import PostprocessOptions, Postprocessor

__all__ = ["PostprocessOptions", "Postprocessor"]
