"""Frame to RawHeads: preprocessing, the runtime, and the network's outputs."""

from edge_ssd.detector.detector import Detector, InvokeLost, ModelFit, Network, Prepared

__all__ = ["Detector", "InvokeLost", "ModelFit", "Network", "Prepared"]
