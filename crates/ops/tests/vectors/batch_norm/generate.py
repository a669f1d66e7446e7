"""Batch normalisation, its gradients and its running moments as PyTorch computes them, in float64. Run in this folder: python generate.py"""

import numpy as np
import torch
from torch.nn.functional import batch_norm

torch.manual_seed(4)
# name: (shape, momentum, epsilon)
CASES = {
    "images": ((3, 4, 5, 7), 0.1, 1e-5),
    "large_planes": ((2, 3, 9, 11), 0.25, 1e-3),
    "vectors": ((7, 6), 0.1, 1e-5),
    "volumes": ((2, 2, 3, 2, 4), 1.0, 1e-5),
    "one_sample": ((1, 3, 6, 6), 0.1, 1e-5),
}

arrays = {}
for name, (shape, momentum, epsilon) in CASES.items():
    channels = shape[1]
    scale = torch.arange(1, channels + 1).double().reshape(1, -1, *[1] * (len(shape) - 2))
    x = (torch.randn(shape).double() * scale + 3 * scale).requires_grad_()
    weight, bias = torch.randn(channels).double().requires_grad_(), torch.randn(channels).double().requires_grad_()
    mean, variance = torch.randn(channels).double(), torch.rand(channels).double() + 0.5
    gradient = torch.randn(shape).double()
    arrays |= {
        f"{name}.rule": np.array([momentum, epsilon]),
        f"{name}.x": x.detach().numpy(),
        f"{name}.weight": weight.detach().numpy(),
        f"{name}.bias": bias.detach().numpy(),
        f"{name}.gradient": gradient.numpy(),
        f"{name}.mean": mean.clone().numpy(),
        f"{name}.variance": variance.clone().numpy(),
    }
    for training, part in ((False, "given"), (True, "of_batch")):
        y = batch_norm(x, mean, variance, weight, bias, training, momentum, epsilon)
        to_x, to_weight, to_bias = torch.autograd.grad(y, (x, weight, bias), gradient)
        for of, tensor in (("y", y.detach()), ("to_x", to_x), ("to_weight", to_weight), ("to_bias", to_bias)):
            arrays[f"{name}.{part}.{of}"] = tensor.numpy()
    arrays |= {f"{name}.mean_after": mean.numpy(), f"{name}.variance_after": variance.numpy()}

np.savez("vectors.npz", **arrays)
