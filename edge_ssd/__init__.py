"""edge_ssd: SSD MobileNet object detection that keeps running on a Raspberry Pi."""

__version__ = "0.1.0"

DEFAULT_MODEL = "ssdlite_mobilenet_v2_coco"
"""The bundled model that is used where none is named."""
