"""Compiling the CUDA kernels, and measuring what became of them."""
