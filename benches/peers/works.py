"""The works of `stn bench`, as every Python peer reads them: names, shapes and thetas.

Run alone, it holds its thetas against those of the Rust side.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

LEARNING_RATE = 1e-3
MOMENTUM = 0.9

# Name: images N x C x H x W, classes of each classifier, classifiers side by side, parameters.
STEPS = {
    "step.tutorial": ((64, 1, 28, 28), 10, 1, 27_360),
    "step.st_cnn_affine": ((256, 1, 42, 42), 10, 1, 277_544),
    "step.st_fcn_tps": ((256, 1, 28, 28), 10, 1, 297_610),
    "step.svhn_multi": ((32, 3, 64, 64), 11, 5, 37_937_903),
    "step.svhn_cnn": ((32, 3, 64, 64), 11, 5, 32_820_951),
    "large.tutorial": ((1024, 1, 28, 28), 10, 1, 27_360),
    "large.svhn_multi": ((128, 3, 64, 64), 11, 5, 37_937_903),
    "large.svhn_multi_128px": ((128, 3, 128, 128), 11, 5, 81_584_879),
}

SAMPLE = re.compile(r"(large\.)?sample\.(?P<kernel>\w+)\.(?P<shape>\d+x\d+x\d+x\d+)(\.(?P<warp>tps|projective))?(\.(?P<to_theta>to_theta))?")


@dataclass
class Sample:
    """A sampler alone: its kernel, its source N x C x H x W, the warp, and whether the source takes a gradient beside theta."""

    kernel: str
    shape: tuple
    warp: str
    to_input: bool


def sample(work):
    """The sampler that a name `sample. ...` or `large.sample. ...` means, or None."""
    found = SAMPLE.fullmatch(work)
    if not found:
        return None
    shape = tuple(int(n) for n in found["shape"].split("x"))
    return Sample(found["kernel"], shape, found["warp"] or "affine", not found["to_theta"])


def spread(i, p):
    """2 frac((i + 1) sqrt(p)) - 1: for a prime p spread evenly over [-1, 1)."""
    return 2.0 * math.modf((i + 1) * math.sqrt(p))[0] - 1.0


def normal(j):
    """Numbers spread as a normal distribution, by Box's and Muller's formula."""
    return math.sqrt(-2.0 * math.log((1.0 + spread(j, 2)) / 2.0)) * math.cos(math.pi * spread(j, 3))


def _affine(i):
    angle, scale = 0.5 * spread(i, 2), 1.0 + 0.2 * spread(i, 3)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return [cos, -sin, 0.1 * spread(i, 5), sin, cos, 0.1 * spread(i, 7)]


def thetas(warp, samples):
    """Every sample's theta in float32: N x 6, for projective N x 8, for thin plate splines N x 32."""
    if warp == "tps":
        flat = control_points().ravel()
        rows = [[flat[k] + 0.05 * normal(32 * i + k) for k in range(32)] for i in range(samples)]
    elif warp == "projective":
        rows = [_affine(i) + [0.1 * spread(i, 11), 0.1 * spread(i, 13)] for i in range(samples)]
    else:
        rows = [_affine(i) for i in range(samples)]
    return np.array(rows, dtype=np.float32)


def pixel_centres(n):
    """Normalised coordinates of pixel centres where -1 and 1 are the outer edges."""
    return (2.0 * np.arange(n) + 1.0) / n - 1.0


def target_points(height, width):
    """The pixels of a target, P x 2, x first and fastest."""
    return np.stack([np.tile(pixel_centres(width), height), np.repeat(pixel_centres(height), width)], 1)


def control_points():
    """4 x 4 points over [-1, 1]^2, corners included, x fastest: 16 x 2."""
    side = np.linspace(-1.0, 1.0, 4)
    return np.stack([np.tile(side, 4), np.repeat(side, 4)], 1)


def tps_basis(height, width):
    """P x 16: the grid is this times the moved control points. The solve for the spline's coefficients is folded in."""

    def radial(a, b):
        squared = ((a[:, None] - b[None]) ** 2).sum(-1)
        return np.where(squared > 0, 0.5 * squared * np.log(np.where(squared > 0, squared, 1.0)), 0.0)

    points, target = control_points(), target_points(height, width)
    affine = np.concatenate([np.ones((16, 1)), points], 1)
    system = np.block([[radial(points, points), affine], [affine.T, np.zeros((3, 3))]])
    rows = np.concatenate([radial(target, points), np.ones((len(target), 1)), target], 1)
    return (rows @ np.linalg.inv(system)[:, :16]).astype(np.float32)


if __name__ == "__main__":
    expected = [1.0888015851906812, 0.09363421654662656, -0.052786404500042045, -0.09363421654662656, 1.0888015851906812, 0.029150262212918145]
    assert np.allclose(thetas("affine", 1)[0], expected, atol=1e-7)
    moved = thetas("tps", 1)[0][:3] - control_points().ravel()[:3]
    assert np.allclose(moved, [0.0074708288034936385, 0.0299008005233696, -0.02793005649099789], atol=1e-6)
    assert np.allclose(tps_basis(5, 7) @ control_points(), target_points(5, 7), atol=1e-5)
    print("works.py: as expected")
