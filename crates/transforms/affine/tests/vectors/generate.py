"""Sampling grids of PyTorch's affine_grid. Run beside this file: python generate.py"""

import numpy
import torch
import torch.nn.functional as F

rng = numpy.random.default_rng(1)
theta = torch.from_numpy(rng.normal(size=(3, 2, 3)))
arrays = {"theta": theta.reshape(3, 6).numpy()}
for height, width in [(4, 5), (1, 3), (7, 1)]:
    for align_corners in [False, True]:
        grid = F.affine_grid(theta, [3, 1, height, width], align_corners=align_corners)
        arrays[f"grid_{height}x{width}_{'centres' if align_corners else 'edges'}"] = grid.numpy()
numpy.savez("affine_grid.npz", **arrays)
