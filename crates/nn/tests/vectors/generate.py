"""Vectors made with PyTorch: three small spatial transformer networks and the optimisers.

Run: python generate.py (needs torch and numpy). The files stand beside this script. All numbers are 64-bit.

The modules below have the attribute names of stn-nn's parameters, so their state_dict is what stn-nn saves and loads.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = Path(__file__).parent
torch.set_default_dtype(torch.float64)


class Localiser(nn.Module):
    """`[{ avg = 2 }, { conv = [4, 3] }, { max = 2 }, "relu", { fc = 8 }, "relu"]` and theta."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.fc1 = nn.Linear(4 * 2 * 2, 8)
        self.theta = nn.Linear(8, 6)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(F.avg_pool2d(x, 2)), 2))
        return self.theta(F.relu(self.fc1(x.flatten(1))))


class Transformer(nn.Module):
    def __init__(self, localiser):
        super().__init__()
        self.localiser = localiser


class StCnn(nn.Module):
    """A transformer on the input, one convolution, two fully connected layers."""

    def __init__(self):
        super().__init__()
        self.st1 = Transformer(Localiser())
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.fc1 = nn.Linear(6 * 4 * 4, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        theta = self.st1.localiser(x)
        grid = F.affine_grid(theta.view(-1, 2, 3), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1)))), [theta]


class SharedLocaliser(nn.Module):
    """`[{ fc = 7 }, "relu"]` and two thetas."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2 * 7 * 9, 7)
        self.theta = nn.Linear(7, 12)

    def forward(self, x):
        return self.theta(F.relu(self.fc1(x.flatten(1))))


class ParallelSt(nn.Module):
    """Two transformers with one localiser in the middle of a network, theta fed forward; odd sizes, stride, padding, pooling that rounds up."""

    def __init__(self):
        super().__init__()
        self.parallel_st1 = Transformer(SharedLocaliser())
        self.conv1 = nn.Conv2d(4, 3, (3, 2), stride=(2, 1), padding=(1, 0))
        self.fc1 = nn.Linear(3 * 2 * 2 + 12, 4)

    def forward(self, x):
        both = self.parallel_st1.localiser(x)
        thetas = [both[:, :6], both[:, 6:]]
        size = [x.shape[0], x.shape[1], 6, 5]
        grids = [F.affine_grid(theta.reshape(-1, 2, 3), size, align_corners=True) for theta in thetas]
        outputs = [F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True) for grid in grids]
        x = F.relu(self.conv1(torch.cat(outputs, 1)))
        x = F.max_pool2d(x, 2, ceil_mode=True)
        return self.fc1(torch.cat([x.flatten(1), both], 1)), thetas


class SequenceLocaliser(nn.Module):
    """`[{ fc = 7 }, "relu"]` and an increment."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2 * 8 * 7, 7)
        self.theta = nn.Linear(7, 6)

    def forward(self, x):
        return self.theta(F.relu(self.fc1(x.flatten(1))))


class SequenceSt(nn.Module):
    """A transformer applied three times behind a convolution, the warps composed as 3 x 3 matrices (Lin & Lucey, CVPR 2017): each step looks at the convolution's output anew."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.st1 = Transformer(SequenceLocaliser())
        self.fc1 = nn.Linear(2 * 5 * 6, 3)

    def forward(self, x):
        features = F.relu(self.conv1(x))
        total = torch.eye(3).repeat(len(x), 1, 1)
        thetas, view = [], features
        for step in range(3):
            increment = self.st1.localiser(view).view(-1, 2, 3)
            total = total @ torch.cat([increment, torch.tensor([0.0, 0.0, 1.0]).repeat(len(x), 1, 1)], 1)
            size = list(features.shape) if step < 2 else [len(x), 2, 5, 6]
            grid = F.affine_grid(total[:, :2], size, align_corners=False)
            view = F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            thetas.append(total[:, :2].flatten(1))
        return self.fc1(view.flatten(1)), thetas


class Branch(nn.Module):
    """`[{ conv = [channels, kernel, 1, padding] }, "batch_norm", "relu"]`"""

    def __init__(self, inputs, channels, kernel):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2, bias=False)
        self.batch_norm1 = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(self.batch_norm1(self.conv1(x)))


class Branches(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.branch1, self.branch2, self.branch3 = Branch(inputs, 3, 1), Branch(inputs, 2, 3), Branch(inputs, 2, 1)

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(F.avg_pool2d(x, 3, 1, 1))], 1)


class Crop(nn.Module):
    """`[{ conv = [4, 3, 2, 1] }, "batch_norm", "relu", { branches = .. }, { avg = "all" }]`"""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.batch_norm1 = nn.BatchNorm2d(4, eps=1e-3, momentum=0.25)
        self.branches1 = Branches(4)

    def forward(self, x):
        return self.branches1(F.relu(self.batch_norm1(self.conv1(x)))).mean((2, 3))


class Windows(nn.Module):
    """Two windows of half the image, a network for each, their descriptors joined."""

    def __init__(self):
        super().__init__()
        self.parallel_st1 = Transformer(nn.Module())
        self.parallel_st1.localiser.fc1 = nn.Linear(2 * 9 * 9, 7)
        self.parallel_st1.localiser.theta = nn.Linear(7, 4)
        self.parallel_st1.each1, self.parallel_st1.each2 = Crop(), Crop()
        self.fc1 = nn.Linear(14, 4)

    def forward(self, x):
        own = self.parallel_st1
        both = own.localiser.theta(F.relu(own.localiser.fc1(x.flatten(1))))
        thetas, descriptors = [both[:, :2], both[:, 2:]], []
        for theta, each in zip(thetas, (own.each1, own.each2)):
            scale, zero = torch.full_like(theta[:, 0], 0.5), torch.zeros_like(theta[:, 0])
            matrix = torch.stack([scale, zero, theta[:, 0], zero, scale, theta[:, 1]], 1).view(-1, 2, 3)
            grid = F.affine_grid(matrix, [x.shape[0], 2, 6, 6], align_corners=False)
            descriptors.append(each(F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)))
        return self.fc1(torch.cat(descriptors, 1)), thetas


def network(name, module, images, labels):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
        for key, parameter in module.named_parameters():
            if key.endswith("theta.weight"):
                parameter.mul_(0.3)
            if key.endswith("theta.bias") and parameter.numel() % 6 == 0:
                parameter.add_(torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(parameter.numel() // 6))
    before = {key: value.clone() for key, value in module.state_dict().items() if "num_batches" not in key}
    logits, thetas = module(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    arrays = {"images": images, "labels": labels, "logits": logits, "loss": loss.reshape(1)}
    arrays |= {f"theta.{i}": theta for i, theta in enumerate(thetas)}
    arrays |= {f"weights.{key}": value for key, value in before.items()}
    arrays |= {f"gradients.{key}": value.grad for key, value in module.named_parameters()}
    running = {key: value for key, value in module.state_dict().items() if "running" in key}
    if running:
        arrays |= {f"after.{key}": value for key, value in running.items()} | {"evaluated": module.eval()(images)[0]}
    np.savez(HERE / f"{name}.npz", **{key: value.detach().numpy() for key, value in arrays.items()})


OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1),
    "sgd_momentum": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "sgd_nesterov": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.05),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.1),
    "adam_l2": lambda groups: torch.optim.Adam(groups, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.05),
}


def optimizers(steps=8):
    shapes = {"weight": (3, 2), "bias": (3,)}
    start = {key: torch.randn(shape) for key, shape in shapes.items()}
    gradients = {key: torch.randn(steps, *shape) for key, shape in shapes.items()}
    arrays = {f"start.{key}": value for key, value in start.items()} | {f"gradients.{key}": value for key, value in gradients.items()}
    for name, make in OPTIMIZERS.items():
        parameters = {key: value.clone().requires_grad_() for key, value in start.items()}
        # The bias has a tenth of the learning rate and no weight decay.
        optimizer = make([{"params": [parameters["weight"]]}, {"params": [parameters["bias"]], "lr": 0.01, "weight_decay": 0.0}])
        path = {key: [] for key in parameters}
        for step in range(steps):
            for key, parameter in parameters.items():
                parameter.grad = gradients[key][step].clone()
            optimizer.step()
            for key, parameter in parameters.items():
                path[key].append(parameter.detach().clone())
        arrays |= {f"{name}.{key}": torch.stack(values) for key, values in path.items()}
    np.savez(HERE / "optimizers.npz", **{key: value.numpy() for key, value in arrays.items()})


torch.manual_seed(0)
network("st_cnn", StCnn(), torch.rand(4, 1, 12, 12), torch.tensor([0, 2, 1, 2]))
network("parallel_st", ParallelSt(), torch.rand(3, 2, 7, 9), torch.tensor([3, 0, 1]))
optimizers()
network("sequence_st", SequenceSt(), torch.rand(4, 1, 10, 9), torch.tensor([2, 0, 1, 1]))
network("windows", Windows(), torch.rand(5, 2, 9, 9), torch.tensor([3, 0, 1, 2, 2]))
