"""PyTorch. `torch_peer.py WORK THREADS [--device=cuda:0] [--compile | --graphs]`.

--graphs is torch.compile with the step captured in CUDA graphs (mode "reduce-overhead").
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

import peer
import works


def here(numbers):
    """Numbers of numpy's on the device that is computed on."""
    return torch.from_numpy(numbers).to(torch.get_default_device())


def compiled_as(function, how):
    """The function itself, or compiled: `how` is None, "compile" or "graphs"."""
    return torch.compile(function, mode="reduce-overhead" if how == "graphs" else None) if how else function


class Affine(nn.Module):
    """A spatial transformer that starts at the identity."""

    def __init__(self, localiser, features):
        super().__init__()
        self.localiser, self.theta = localiser, nn.Linear(features, 6)
        nn.init.zeros_(self.theta.weight)
        self.theta.bias.data.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x):
        theta = self.theta(self.localiser(x)).view(-1, 2, 3)
        return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


class ThinPlateSpline(nn.Module):
    """The same with 4 x 4 control points."""

    def __init__(self, localiser, features, height, width):
        super().__init__()
        self.localiser, self.theta = localiser, nn.Linear(features, 32)
        nn.init.zeros_(self.theta.weight)
        self.theta.bias.data.copy_(here(works.control_points().ravel()))
        self.register_buffer("basis", here(works.tps_basis(height, width).T.copy()))

    def forward(self, x):
        return F.grid_sample(x, tps_grid(self.theta(self.localiser(x)), self.basis, x.shape), align_corners=False)


def tps_grid(theta, basis, shape):
    """One flat product for all samples; the sampler takes the grid as it lies, coordinates apart. Of five ways of writing it the fastest."""
    samples, _, height, width = shape
    points = theta.view(samples, 16, 2).mT.reshape(samples * 2, 16)
    return (points @ basis).view(samples, 2, height, width).permute(0, 2, 3, 1)


def projective_grid(theta, basis, shape):
    """The same for plane projective warps: of five ways the fastest."""
    samples, _, height, width = shape
    matrix = torch.cat([theta, theta.new_ones(samples, 1)], 1).view(samples, 3, 3)
    places = matrix @ basis
    return (places[:, :2] / places[:, 2:]).view(samples, 2, height, width).permute(0, 2, 3, 1)


def tutorial():
    localiser = nn.Sequential(
        *[nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 10, 5), nn.MaxPool2d(2), nn.ReLU()],
        *[nn.Flatten(), nn.Linear(90, 32), nn.ReLU()],
    )
    return nn.Sequential(
        Affine(localiser, 32),
        *[nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 20, 5), nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU()],
        *[nn.Flatten(), nn.Linear(320, 50), nn.ReLU(), nn.Dropout(), nn.Linear(50, 10)],
    )


def st_cnn_affine():
    localiser = nn.Sequential(
        *[nn.AvgPool2d(2), nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 20, 5), nn.ReLU()],
        *[nn.Flatten(), nn.Linear(320, 20), nn.ReLU()],
    )
    return nn.Sequential(
        Affine(localiser, 20),
        *[nn.Conv2d(1, 32, 9), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 32, 7), nn.MaxPool2d(2), nn.ReLU()],
        *[nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)],
    )


def st_fcn_tps():
    localiser = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    return nn.Sequential(
        ThinPlateSpline(localiser, 32, 28, 28),
        *[nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)],
    )


def svhn(transformers, side=64):
    layers, channels = [], 3
    for i, (filters, pooled) in enumerate([(48, True), (64, False), (128, True), (160, False), (192, True), (192, False), (192, True), (192, False)]):
        if transformers and i < 4:
            localiser = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
            layers.append(Affine(localiser, 32))
        layers += [nn.Conv2d(channels, filters, 5, padding=2), nn.ReLU()]
        if pooled:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        channels = filters
    layers.append(nn.Flatten())
    for features in [channels * side * side, 3072, 3072]:
        layers += [nn.Linear(features, 3072), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(3072, 55))


NETWORKS = {
    "step.tutorial": tutorial,
    "step.st_cnn_affine": st_cnn_affine,
    "step.st_fcn_tps": st_fcn_tps,
    "step.svhn_multi": lambda: svhn(True),
    "step.svhn_cnn": lambda: svhn(False),
    "large.tutorial": tutorial,
    "large.svhn_multi": lambda: svhn(True),
    "large.svhn_multi_128px": lambda: svhn(True, 128),
}


def build_step(name, compiled):
    shape, classes, heads, parameters = works.STEPS[name]
    network = NETWORKS[name]()
    assert sum(p.numel() for p in network.parameters()) == parameters
    optimiser = torch.optim.SGD(network.parameters(), lr=works.LEARNING_RATE, momentum=works.MOMENTUM, fused=True)
    images, labels = torch.rand(shape), torch.randint(0, classes, (shape[0] * heads,))

    def loss_of(images, labels):
        return F.cross_entropy(network(images).view(-1, classes), labels)

    loss_of = compiled_as(loss_of, compiled)

    def run():
        optimiser.zero_grad()
        loss_of(images, labels).backward()
        optimiser.step()

    return run


def build_sample(sample, compiled):
    samples, _, height, width = sample.shape
    mode = {"bilinear": "bilinear", "bicubic": "bicubic", "integer": "nearest"}[sample.kernel]
    source = torch.rand(sample.shape, requires_grad=sample.to_input)
    theta = here(works.thetas(sample.warp, samples)).requires_grad_()
    ones = torch.ones(sample.shape)
    if sample.warp == "tps":
        basis = here(works.tps_basis(height, width).T.copy())
    else:
        points = here(works.target_points(height, width)).float()
        basis = torch.cat([points, torch.ones(len(points), 1)], 1).T.contiguous()

    def forward(source, theta):
        if sample.warp == "affine":
            grid = F.affine_grid(theta.view(-1, 2, 3), sample.shape, align_corners=False)
        else:
            grid = (tps_grid if sample.warp == "tps" else projective_grid)(theta, basis, sample.shape)
        return F.grid_sample(source, grid, mode=mode, align_corners=False)

    forward = compiled_as(forward, compiled)

    def run():
        source.grad = theta.grad = None
        forward(source, theta).backward(ones)

    return run


def rehearse(compiled):
    """A training step of a network of three layers on images of 8 x 8."""
    network = nn.Sequential(Affine(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 4), nn.ReLU()), 4), nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4))
    optimiser = torch.optim.SGD(network.parameters(), lr=works.LEARNING_RATE, momentum=works.MOMENTUM, fused=True)
    network = compiled_as(network, compiled)
    F.cross_entropy(network(torch.rand(4, 1, 8, 8)), torch.zeros(4, dtype=torch.long)).backward()
    optimiser.step()


def main():
    work, threads = peer.arguments()
    compiled = next((how for how in ["compile", "graphs"] if f"--{how}" in sys.argv), None)
    device = next((word.partition("=")[2] for word in sys.argv if word.startswith("--device=")), "cpu")
    torch.set_num_threads(threads)
    torch.set_default_device(device)
    # By default convolutions on a card round what they multiply to 10 bits, and products of matrices do not.
    torch.backends.cudnn.allow_tf32 = "--tf32" in sys.argv
    torch.manual_seed(0)
    sample = works.sample(work)

    def build():
        if work in NETWORKS:
            return build_step(work, compiled)
        if sample:
            return build_sample(sample, compiled)
        if work == "limit.gemm" and not compiled:
            a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
            return lambda: a @ b
        if work == "limit.memory" and not compiled:
            a, b = torch.ones(1 << 26), torch.zeros(1 << 26)
            return lambda: b.copy_(a)
        raise peer.Unsupported("no such work")

    peer.serve(build, lambda: rehearse(compiled), torch.cuda.synchronize if device.startswith("cuda") else lambda: None)


if __name__ == "__main__":
    main()
