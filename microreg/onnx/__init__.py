"""Networks as ONNX files: mr.onnx.export(model, "model.onnx")."""

from .export import export

__all__ = ["export"]
