"""Compiles the CUDA kernels, and measures the result."""
