"""Softmax, cross-entropy and their gradients as PyTorch computes them, in float64. Run in this folder: python generate.py"""

import numpy as np
import torch


def compact(array):
    """The smallest float type that holds every value exactly."""
    for dtype in (np.float16, np.float32):
        if array.dtype == np.float64 and np.array_equal(array.astype(dtype).astype(np.float64), array, equal_nan=True):
            return array.astype(dtype)
    return array


torch.manual_seed(3)
CASES = {
    "ten_classes": torch.randn(7, 10).double() * 3,
    "one_class": torch.randn(4, 1).double(),
    "one_sample": torch.randn(1, 5).double(),
    "far_apart": torch.tensor([[1000.0, -1000.0, 0.0], [-1000.0, 999.0, 1000.0], [-5000.0, -5000.0, -5001.0]]).double(),
    "equal": torch.zeros(3, 4).double(),
}

arrays = {}
for name, logits in CASES.items():
    logits = logits.requires_grad_()
    labels = torch.randint(0, logits.shape[1], (logits.shape[0],))
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    to_logits, logits.grad = logits.grad, None
    probabilities = torch.softmax(logits, -1)
    gradient = torch.randn(*logits.shape).double()
    probabilities.backward(gradient)
    arrays |= {
        f"{name}.logits": logits.detach().numpy(),
        f"{name}.labels": labels.numpy(),
        f"{name}.loss": loss.detach().numpy().reshape(1),
        f"{name}.to_logits": to_logits.numpy(),
        f"{name}.softmax": probabilities.detach().numpy(),
        f"{name}.gradient": gradient.numpy(),
        f"{name}.softmax_to_logits": logits.grad.numpy(),
    }
np.savez("vectors.npz", **{name: compact(array) for name, array in arrays.items()})
