"""Frame to RawHeads: preprocessing, the runtime, and the network's outputs."""

from edge_ssd.detector.detector import Detector, InvokeLost, Network, Prepared

__all__ = ["Detector", "InvokeLost", "Network", "Prepared"]
