"""A trained policy as one ONNX graph with its contract."""
