"""edge_ssd: SSD MobileNet object detection that keeps running on a Raspberry Pi."""

__version__ = "0.1.0"
