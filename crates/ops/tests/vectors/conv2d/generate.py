"""Convolutions and their gradients as PyTorch computes them, in float64. Run in this folder: python generate.py"""

import numpy as np
import torch


def compact(array):
    """The smallest float type that holds every value exactly."""
    for dtype in (np.float16, np.float32):
        if array.dtype == np.float64 and np.array_equal(array.astype(dtype).astype(np.float64), array, equal_nan=True):
            return array.astype(dtype)
    return array


torch.manual_seed(1)
# name: (samples, channels, height, width, filters, kernel height, kernel width, stride, padding)
CASES = {
    "plain": (3, 2, 7, 8, 4, 3, 3, (1, 1), (0, 0)),
    "padded": (2, 3, 6, 5, 2, 5, 5, (1, 1), (2, 2)),
    "strided": (2, 2, 9, 10, 3, 3, 4, (2, 3), (0, 0)),
    "strided_padded": (2, 2, 8, 7, 3, 4, 3, (3, 2), (2, 1)),
    "odd": (1, 1, 11, 5, 3, 2, 5, (1, 2), (1, 0)),
    "kernel_1x1": (3, 4, 5, 3, 2, 1, 1, (1, 1), (0, 0)),
    "image_1x1": (4, 3, 1, 1, 2, 1, 1, (1, 1), (0, 0)),
    "kernel_is_input": (5, 2, 4, 6, 3, 4, 6, (1, 1), (0, 0)),
    "kernel_is_padded_input": (2, 1, 3, 2, 2, 5, 4, (1, 1), (1, 1)),
    "padding_beyond_kernel": (1, 2, 3, 3, 2, 2, 2, (2, 1), (3, 2)),
    "stride_beyond_kernel": (2, 1, 9, 9, 2, 2, 2, (4, 4), (0, 0)),
    "many_images": (67, 1, 4, 4, 2, 3, 3, (1, 1), (0, 0)),
    "large_image": (1, 1, 30, 26, 2, 3, 3, (1, 1), (1, 1)),
}

arrays = {}
for name, (n, c, h, w, o, kh, kw, stride, padding) in CASES.items():
    # Multiples of 1/8 keep the file small and the sums exact.
    draw = lambda *shape: (torch.randint(-16, 17, shape).double() / 8).requires_grad_()
    x, weight, bias = draw(n, c, h, w), draw(o, c, kh, kw), draw(o)
    y = torch.nn.functional.conv2d(x, weight, bias, stride=stride, padding=padding)
    gradient = draw(*y.shape).detach()
    y.backward(gradient)
    arrays |= {
        f"{name}.window": np.array([*stride, *padding], dtype=np.int64),
        f"{name}.input": x.detach().numpy(),
        f"{name}.weight": weight.detach().numpy(),
        f"{name}.bias": bias.detach().numpy(),
        f"{name}.output": y.detach().numpy(),
        f"{name}.gradient": gradient.numpy(),
        f"{name}.to_input": x.grad.numpy(),
        f"{name}.to_weight": weight.grad.numpy(),
        f"{name}.to_bias": bias.grad.numpy(),
    }
np.savez("vectors.npz", **{name: compact(array) for name, array in arrays.items()})
