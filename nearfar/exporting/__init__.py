"""What was trained, for other programs: graphs that run anywhere, and folders that other libraries open.

====================  =================================================================================
``kept``              write into a new folder, read it back, compare, and only then give it its name
``graphs``            ``onnx`` and ``torch-export``, of whatever is entered by tensors alone
``libraries``         ``torchvision``, ``timm`` and ``transformers``, of picture encoders
====================  =================================================================================

Fields bring further formats along (``Field.exports``).
"""

from nearfar.exporting.graphs import to_onnx, to_torch_export
from nearfar.exporting.kept import CLOSE, apart, kept
from nearfar.exporting.libraries import to_timm, to_torchvision, to_transformers

__all__ = [
    "CLOSE",
    "FORMATS",
    "apart",
    "kept",
    "to_onnx",
    "to_timm",
    "to_torch_export",
    "to_torchvision",
    "to_transformers",
]

FORMATS = {
    "onnx": to_onnx,
    "torch-export": to_torch_export,
    "torchvision": to_torchvision,
    "timm": to_timm,
    "transformers": to_transformers,
}
"""How any system's door is written, by the name of the format."""
