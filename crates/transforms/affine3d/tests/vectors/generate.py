"""Sampling grids of PyTorch's affine_grid on volumes. Run beside this file: python generate.py"""

import numpy
import torch
import torch.nn.functional as F

rng = numpy.random.default_rng(2)
theta = torch.from_numpy(rng.normal(size=(2, 3, 4)))
arrays = {"theta": theta.reshape(2, 12).numpy()}
for depth, height, width in [(2, 3, 4), (1, 3, 2), (3, 1, 1)]:
    for align_corners in [False, True]:
        grid = F.affine_grid(theta, [2, 1, depth, height, width], align_corners=align_corners)
        arrays[f"grid_{depth}x{height}x{width}_{'centres' if align_corners else 'edges'}"] = grid.numpy()
numpy.savez("affine_grid_3d.npz", **arrays)
