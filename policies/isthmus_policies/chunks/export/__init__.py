"""A trained policy of chunks as one ONNX graph with its contract."""
