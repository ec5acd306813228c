"""The robot side: contract, runtime, safety and ROS 2 nodes. NumPy and ONNX Runtime only; never torch."""
