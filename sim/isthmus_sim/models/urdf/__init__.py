"""URDF as people publish it, made fit for MuJoCo."""
