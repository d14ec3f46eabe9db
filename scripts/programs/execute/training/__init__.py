"""Steps of training (§12): passes backward, losses and optimisers."""

from . import blocks, gradients, optimisers, samples, scales

FAMILIES = (blocks, gradients, optimisers, samples, scales)
