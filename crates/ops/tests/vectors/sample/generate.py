"""Makes grid_sample.npz and affine_grid.npz with PyTorch: `python generate.py`, with torch and numpy installed.

Everything is float64. Grids hold coordinates inside, outside, on the border and on pixel centres; none is NaN. The results of grid_sample are stacked, one for each
(kernel, boundary, align_corners) in the order of the loops below; those of affine_grid one for each align_corners.
"""

from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
generator = torch.Generator().manual_seed(20151)


def normal(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def coordinates(*shape):
    """Anywhere in [-1.7, 1.7], a third of them on the border, on a pixel's centre, or far outside."""
    values = torch.rand(*shape, generator=generator, dtype=torch.float64) * 3.4 - 1.7
    special = torch.tensor([-1.0, 1.0, 0.0, 0.5, -0.5, 1.25, -3.5, 7.25], dtype=torch.float64)
    chosen = special[torch.randint(len(special), shape, generator=generator)]
    return torch.where(torch.rand(*shape, generator=generator) < 1 / 3, chosen, values)


def grid_sample():
    arrays = {}
    sources = {
        "2d": ((2, 2, 5, 7), (2, 4, 5, 2), ["nearest", "bilinear", "bicubic"]),
        "3d": ((2, 1, 3, 4, 5), (2, 2, 3, 3, 3), ["nearest", "bilinear"]),
    }
    for name, (source, target, kernels) in sources.items():
        inputs, grid = normal(*source), coordinates(*target)
        upstream = normal(*source[:2], *target[1:-1])
        results = []
        for kernel, boundary, align_corners in product(kernels, ["zeros", "border", "reflection"], [False, True]):
            u, g = inputs.clone().requires_grad_(), grid.clone().requires_grad_()
            v = F.grid_sample(u, g, mode=kernel, padding_mode=boundary, align_corners=align_corners)
            v.backward(upstream)
            results.append((v.detach(), u.grad, g.grad))
        arrays |= {f"{name}.input": inputs, f"{name}.grid": grid, f"{name}.upstream": upstream}
        arrays |= {f"{name}.{what}": torch.stack(values) for what, values in zip(["output", "input_gradient", "grid_gradient"], zip(*results))}
    return arrays


def affine_grid():
    arrays = {}
    for name, rows, size in [("2d", 2, (3, 1, 5, 4)), ("3d", 3, (2, 1, 3, 4, 5))]:
        theta = normal(size[0], rows, rows + 1)
        upstream = normal(size[0], *size[2:], rows)
        results = []
        for align_corners in [False, True]:
            t = theta.clone().requires_grad_()
            grid = F.affine_grid(t, size, align_corners=align_corners)
            grid.backward(upstream)
            results.append((grid.detach(), t.grad))
        arrays |= {f"{name}.theta": theta, f"{name}.upstream": upstream}
        arrays |= {f"{name}.{what}": torch.stack(values) for what, values in zip(["grid", "theta_gradient"], zip(*results))}
    return arrays


for name, arrays in [("grid_sample", grid_sample()), ("affine_grid", affine_grid())]:
    np.savez(HERE / f"{name}.npz", **{key: value.numpy() for key, value in arrays.items()})
