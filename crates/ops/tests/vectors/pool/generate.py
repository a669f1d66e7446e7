"""Max and average pooling and their gradients as PyTorch computes them, in float64. Run in this folder: python generate.py"""

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, max_pool2d


def compact(array):
    """The smallest float type that holds every value exactly."""
    for dtype in (np.float16, np.float32):
        if array.dtype == np.float64 and np.array_equal(array.astype(dtype).astype(np.float64), array, equal_nan=True):
            return array.astype(dtype)
    return array


torch.manual_seed(2)
# name: (shape, kernel, stride, padding, ceil_mode)
CASES = {
    "side_by_side": ((2, 3, 6, 8), (2, 2), (2, 2), (0, 0), False),
    "odd_down": ((1, 2, 7, 5), (2, 2), (2, 2), (0, 0), False),
    "odd_up": ((1, 2, 7, 5), (2, 2), (2, 2), (0, 0), True),
    "overlapping": ((2, 1, 8, 7), (3, 3), (2, 2), (0, 0), False),
    "overlapping_up": ((2, 1, 8, 7), (3, 3), (2, 2), (0, 0), True),
    "padded": ((1, 2, 7, 6), (3, 2), (2, 1), (1, 1), False),
    "padded_up": ((1, 2, 8, 6), (3, 4), (2, 3), (1, 2), True),
    "last_window_in_the_far_padding": ((1, 1, 5, 3), (3, 2), (2, 3), (1, 1), True),
    "stride_beyond_kernel": ((1, 1, 9, 8), (2, 2), (3, 5), (0, 0), False),
    "stride_beyond_kernel_up": ((1, 1, 9, 8), (2, 2), (3, 5), (0, 0), True),
    "kernel_is_input": ((2, 2, 4, 3), (4, 3), (1, 1), (0, 0), False),
    "kernel_1x1": ((1, 2, 3, 4), (1, 1), (1, 1), (0, 0), False),
    "kernel_1x1_strided": ((1, 2, 5, 4), (1, 1), (2, 3), (0, 0), True),
    "one_pixel_up": ((2, 1, 1, 1), (2, 2), (2, 2), (0, 0), True),
    "five_by_five": ((1, 1, 12, 11), (5, 5), (3, 3), (2, 2), True),
}


def add(arrays, name, function, x, kernel, stride, padding, ceil_mode):
    x = x.clone().requires_grad_()
    y = function(x, kernel, stride, padding, ceil_mode=ceil_mode)
    gradient = torch.randint(-16, 17, y.shape).double() / 8
    y.backward(gradient)
    arrays |= {
        f"{name}.pool": np.array([*kernel, *stride, *padding, int(ceil_mode)], dtype=np.int64),
        f"{name}.input": x.detach().numpy(),
        f"{name}.output": y.detach().numpy(),
        f"{name}.gradient": gradient.numpy(),
        f"{name}.to_input": x.grad.numpy(),
    }


maxima, means = {}, {}
for name, (shape, *pool) in CASES.items():
    # Few distinct values: many ties.
    add(maxima, name, max_pool2d, torch.randint(-3, 4, shape).double(), *pool)
    add(means, name, avg_pool2d, torch.randint(-16, 17, shape).double() / 8, *pool)

special = torch.randint(-2, 3, (1, 3, 6, 6)).double()
special[0, 0, 1, 1] = special[0, 0, 2, 4] = special[0, 0, 3, 5] = float("nan")
special[0, 1] = float("-inf")
special[0, 2, 2, 2] = float("inf")
add(maxima, "not_finite", max_pool2d, special, (2, 2), (2, 2), (0, 0), False)
add(maxima, "not_finite_overlapping", max_pool2d, special, (3, 3), (1, 2), (1, 1), True)
add(maxima, "all_equal", max_pool2d, torch.zeros(2, 2, 5, 5).double(), (3, 3), (2, 2), (1, 1), False)

np.savez("max_pool2d.npz", **{name: compact(array) for name, array in maxima.items()})
np.savez("avg_pool2d.npz", **{name: compact(array) for name, array in means.items()})
