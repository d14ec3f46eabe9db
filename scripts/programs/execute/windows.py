"""Steps that read the pixels under windows: unfold, group unfold and pools."""

from dataclasses import replace

from ..numbers import rdiv
from ..trace import Tensor
from .args import step


def under_windows(a, item, window=None, dilation=(1, 1)):
    """For each position, the pixels of an item; None outside the image."""
    window = window or a.window
    assert len(item) == window.height * window.width
    assert max(window.top, window.bottom) < window.kernel_height
    assert max(window.left, window.right) < window.kernel_width
    assert window.kernel_height * window.kernel_width <= 1 << 16
    return [[None if pixel is None else item[pixel] for pixel in position]
            for position in window.positions(dilation)]


@step("group unfold")
def group_unfold(a):
    window, dilation = a.window, (a.dilation_down, a.dilation_right)
    assert a.x.type == 1 and a.groups > 0 and a.x.columns % a.groups == 0
    assert min(dilation) > 0 and min(window.kernel_height, window.kernel_width) > 0
    covered = replace(window, kernel_height=dilation[0] * (window.kernel_height - 1) + 1,
                      kernel_width=dilation[1] * (window.kernel_width - 1) + 1)
    assert -64 <= a.fill <= 63, f"expected a fill in −64..=63, got {a.fill}"
    each, outside = a.x.columns // a.groups, [a.fill] * a.x.columns
    return Tensor(1, [[x for group in range(a.groups) for pixel in position
                       for x in (pixel or outside)[group * each : (group + 1) * each]]
                      for item in a.items(a.x)
                      for position in under_windows(a, item, covered, dilation)])


@step("unfold")
def unfold(a):
    assert a.x.type == 1
    outside = [0] * a.x.columns
    return Tensor(1, [[x for pixel in position for x in (outside if pixel is None else pixel)]
                      for item in a.items(a.x) for position in under_windows(a, item)])


def pool(a, function):
    """A function of each channel's pixels inside the image."""
    positions = (position for item in a.items(a.x) for position in under_windows(a, item))
    inside = ([pixel for pixel in position if pixel is not None] for position in positions)
    return Tensor(a.x.type, [[function(channel) for channel in zip(*pixels)] for pixels in inside])


@step("max pool")
def max_pool(a):
    return pool(a, max)


@step("average pool")
def average_pool(a):
    return pool(a, lambda pixels: rdiv(sum(pixels), len(pixels)))
