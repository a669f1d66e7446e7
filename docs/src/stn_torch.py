"""Trained spatial transformer networks in PyTorch: `load(TRIAL)` gives a `torch.nn.Module`.

    python stn_torch.py results/trials/ID predictions.npz

builds the network of a trial from the `config` in its `facts.parquet`, loads its `weights.safetensors` by name, and holds its logits against those that
`stn predict results/trials/ID --out predictions.npz` wrote. Needs torch, numpy, safetensors and pyarrow.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def load(trial):
    """The network of a trial's folder with its weights, in evaluation mode."""
    import pyarrow.parquet as pq
    from safetensors.torch import load_file

    facts = pq.read_table(Path(trial) / "facts.parquet", columns=["config"]).to_pylist()[0]
    weights = load_file(Path(trial) / "weights.safetensors")
    network = Sequence(json.loads(facts["config"])["network"]["layers"], weights)
    network = network.double() if next(iter(weights.values())).dtype == torch.float64 else network
    network.load_state_dict(weights)
    return network.eval()


class Sequence(nn.Module):
    """A layer list as it is written in an experiment file. Sizes, and widths that say "auto", are those of the weights.

    Layers are named by kind and number, in the order of the list: `conv1`, `fc1`, `st1`; so their parameters have the names of the file of weights.
    """

    def __init__(self, layers, weights, prefix="", theta=None):
        super().__init__()
        self.steps, numbers = [], Counter()
        for layer in layers:
            kind, spec = (layer, {}) if isinstance(layer, str) else next(iter(layer.items()))
            numbers[kind] += 1
            name = f"{kind}{numbers[kind]}"
            # A localisation network ends in `theta`, which its list may leave out.
            if theta and kind == "fc" and f"{prefix}{name}.weight" not in weights:
                continue
            module = self.module(kind, spec, weights, f"{prefix}{name}")
            self.steps.append((kind, name))
            if module is not None:
                self.add_module(name, module)
        if theta:
            self.steps.append(("fc", "theta"))
            self.theta = linear(weights, f"{prefix}theta")
        # A softmax at the end is left to the loss.
        if self.steps[-1][0] == "softmax":
            self.steps.pop()

    @staticmethod
    def module(kind, spec, weights, name):
        if kind == "conv":
            return convolution(spec, weights, name)
        if kind in ("max", "avg"):
            return pooling(kind, spec)
        if kind == "fc":
            return linear(weights, name)
        if kind == "batch_norm":
            return BatchNorm(len(weights[f"{name}.weight"]), eps=spec.get("epsilon", 1e-5))
        if kind in ("st", "parallel_st"):
            return Transformers(kind, spec, weights, name)
        if kind == "branches":
            return Branches(spec, weights, name)
        if kind in ("relu", "softmax", "dropout"):
            return None
        raise NotImplementedError(f"{name}: a layer `{kind}` is not known here")

    def forward(self, x):
        waiting = []
        for kind, name in self.steps:
            if kind == "relu":
                x = F.relu(x)
            elif kind == "softmax":
                x = F.softmax(x, 1)
            elif kind == "fc":
                x = getattr(self, name)(torch.cat([x.flatten(1), *waiting], 1))
                waiting = []
            elif kind in ("st", "parallel_st"):
                layer = getattr(self, name)
                x = layer(x)
                waiting += layer.thetas if layer.feed_theta else []
            elif kind != "dropout":
                x = getattr(self, name)(x)
        return x


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Of images and of vectors alike."""

    def _check_input_dim(self, x):
        pass


class Branches(nn.Module):
    """Layer lists side by side, their outputs joined along channels."""

    def __init__(self, lists, weights, name):
        super().__init__()
        for i, layers in enumerate(lists, 1):
            self.add_module(f"branch{i}", Sequence(layers, weights, f"{name}.branch{i}."))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


class Transformers(nn.Module):
    """One spatial transformer, or several side by side; `thetas` holds what they did last."""

    def __init__(self, kind, spec, weights, name):
        super().__init__()
        count = len(spec["transformers"]) if "transformers" in spec else spec.get("count", 1)
        own = spec.get("transformers", [{}] * count)
        self.specs, self.feed_theta, self.thetas = [{**spec, **each} for each in own], spec.get("feed_theta", False), []
        if any(each.get("steps", 1) > 1 for each in self.specs):
            raise NotImplementedError(f"{name}: several steps are not known here")
        if "shared_localiser" in spec:
            self.localiser = Sequence(spec["shared_localiser"], weights, f"{name}.localiser.", theta=True)
        else:
            for i, each in enumerate(self.specs, 1):
                which = f"localiser{i}" if kind == "parallel_st" else "localiser"
                self.add_module(which, Sequence(each["localiser"], weights, f"{name}.{which}.", theta=True))
        for i in range(1, count + 1):
            if "each" in spec:
                self.add_module(f"each{i}", Sequence(spec["each"], weights, f"{name}.each{i}."))

    def forward(self, x):
        localisers = [module for name, module in self.named_children() if name.startswith("localiser")]
        theta = torch.cat([localiser(x) for localiser in localisers], 1)
        self.thetas = list(theta.split([theta_length(spec["transform"]) for spec in self.specs], 1))
        outputs = [sample(x, theta, spec) for theta, spec in zip(self.thetas, self.specs)]
        each = [module for name, module in self.named_children() if name.startswith("each")]
        return torch.cat([layers(output) for layers, output in zip(each, outputs)] if each else outputs, 1)


def convolution(spec, weights, name):
    keys = dict(zip(("filters", "kernel", "stride", "padding"), spec)) if isinstance(spec, list) else spec
    filters, channels, *kernel = weights[f"{name}.weight"].shape
    return nn.Conv2d(channels, filters, kernel, pair(keys.get("stride", 1)), pair(keys.get("padding", 0)), bias=f"{name}.bias" in weights)


def linear(weights, name):
    units, inputs = weights[f"{name}.weight"].shape
    return nn.Linear(inputs, units, bias=f"{name}.bias" in weights)


def pooling(kind, spec):
    if spec == "all":
        return nn.AdaptiveAvgPool2d(1) if kind == "avg" else nn.AdaptiveMaxPool2d(1)
    keys = spec if isinstance(spec, dict) else {"kernel": spec}
    kernel = pair(keys["kernel"])
    pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    return pool(kernel, pair(keys.get("stride", kernel)), pair(keys.get("padding", 0)), ceil_mode=keys.get("rounding") == "up")


def pair(sides):
    return tuple(sides) if isinstance(sides, (list, tuple)) else (sides, sides)


def sample(x, theta, spec):
    """Grid generator and sampler: x read where theta says."""
    corners = spec.get("align_corners", False)
    height, width = spec.get("output", x.shape[2:])
    xs, ys = (coordinates(n, corners).to(x) for n in (width, height))
    target = torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], -1)
    kind, keys = plugin(spec["transform"])
    grid = GRIDS[kind](theta, target, keys)
    kernel, keys = plugin(spec.get("kernel", "bilinear"))
    if keys.get("a", -0.75) != -0.75:
        raise NotImplementedError("PyTorch's bicubic kernel has a = -0.75")
    mode = {"bilinear": "bilinear", "bicubic": "bicubic", "integer": "nearest"}[kernel]
    return F.grid_sample(x, grid, mode, spec.get("boundary", "zeros"), corners)


def plugin(written):
    """Name and parameters: `"tps"` or `{ kind = "tps", points = 5 }`."""
    return (written, {}) if isinstance(written, str) else (written["kind"], written)


def theta_length(transform):
    kind, keys = plugin(transform)
    if kind == "attention":
        return 2 if "scale" in keys else 3
    if kind == "tps":
        return 2 * keys.get("points", 4) ** 2
    return {"affine": 6, "projective": 8, "translation": 2, "similarity": 4, "rigid": 3}[kind]


def coordinates(n, corners):
    """Normalised coordinates of n pixels in a row."""
    return torch.linspace(-1, 1, n, dtype=torch.float64) if corners else (2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1


def linear_grid(matrix, target):
    """M (x, y, 1): N x 2 x 3 or N x 3 x 3 on an H x W x 2 target."""
    homogeneous = torch.cat([target, torch.ones_like(target[..., :1])], -1)
    return torch.einsum("nij,hwj->nhwi", matrix, homogeneous)


def affine(theta, target, _):
    return linear_grid(theta.view(-1, 2, 3), target)


def attention(theta, target, keys):
    if "scale" in keys:
        tx, ty = theta.T
        s = torch.full_like(tx, keys["scale"])
    else:
        s, tx, ty = theta.T
    zero = torch.zeros_like(s)
    return linear_grid(torch.stack([s, zero, tx, zero, s, ty], 1).view(-1, 2, 3), target)


def translation(theta, target, _):
    return target + theta[:, None, None]


def similarity(theta, target, _):
    angle, log_s, tx, ty = theta.T
    c, s = log_s.exp() * angle.cos(), log_s.exp() * angle.sin()
    return linear_grid(torch.stack([c, -s, tx, s, c, ty], 1).view(-1, 2, 3), target)


def rigid(theta, target, keys):
    angle, tx, ty = theta.T
    return similarity(torch.stack([angle, torch.zeros_like(angle), tx, ty], 1), target, keys)


def projective(theta, target, _):
    matrix = torch.cat([theta, torch.ones_like(theta[:, :1])], 1).view(-1, 3, 3)
    places = linear_grid(matrix, target)
    return places[..., :2] / places[..., 2:]


def tps(theta, target, keys):
    """The spline through n x n control points: solved in 64 bits, since large terms cancel."""
    n = keys.get("points", 4)
    line = torch.linspace(-1, 1, n, dtype=torch.float64)
    points = torch.stack([line.repeat(n), line.repeat_interleave(n)], 1)

    def radial(a, b):
        squared = ((a[:, None] - b[None]) ** 2).sum(-1)
        return 0.5 * squared * squared.clamp_min(1e-200).log()

    affine_part = torch.cat([torch.ones(n * n, 1, dtype=torch.float64), points], 1)
    smoothed = radial(points, points) + keys.get("regularisation", 0.0) * torch.eye(n * n, dtype=torch.float64)
    system = torch.cat([torch.cat([smoothed, affine_part], 1), torch.cat([affine_part.T, torch.zeros(3, 3, dtype=torch.float64)], 1)])
    places = target.reshape(-1, 2).double()
    terms = torch.cat([radial(places, points), torch.ones(len(places), 1, dtype=torch.float64), places], 1)
    basis = (terms @ torch.linalg.inv(system)[:, : n * n]).to(theta)
    return torch.einsum("pk,nkc->npc", basis, theta.view(-1, n * n, 2)).view(-1, *target.shape)


GRIDS = {"affine": affine, "attention": attention, "translation": translation, "similarity": similarity, "rigid": rigid, "projective": projective, "tps": tps}


def compare(trial, predictions):
    """The largest differences of logits and thetas between PyTorch and `stn predict`."""
    network, ours = load(trial), np.load(predictions)
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        logits = network(torch.from_numpy(ours["images"]).to(dtype))
    thetas = {name: torch.cat(module.thetas, 1).numpy() for name, module in network.named_modules() if isinstance(module, Transformers)}
    difference = np.abs(logits.numpy() - ours["logits"].reshape(logits.shape)).max()
    names = {name: [key for key in ours.files if key.startswith(name) and key.endswith(".theta")] for name in thetas}
    theta = max((np.abs(thetas[name] - np.concatenate([ours[key] for key in keys], 1)).max() for name, keys in names.items() if keys), default=0.0)
    return difference, theta, np.abs(ours["logits"]).max(), len(logits)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    difference, theta, largest, images = compare(*sys.argv[1:])
    print(f"{images} images: logits differ by {difference:.1e} at most (the largest is {largest:.1f}), theta by {theta:.1e}")
    # The last digits of a 32-bit number are lost to rounding, so what counts is the difference beside the largest logit where that is above 1.
    sys.exit(0 if difference <= 1e-5 * max(1.0, largest) else 1)
