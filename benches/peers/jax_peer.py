"""JAX on the CPU, jit. `jax_peer.py WORK THREADS`.

JAX has no grid_sample: the sampler is written with gathers, as its users write it.
"""

import os

import peer

os.environ["JAX_PLATFORMS"] = "cpu"
# XLA starts as many threads as the process may use cores: they are chosen before it is loaded.
WORK, _ = peer.arguments()

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import works


def conv(x, layer, padding=0):
    pad = [(padding, padding)] * 2
    y = lax.conv_general_dilated(x, layer["w"], (1, 1), pad, dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return y + layer["b"][:, None, None]


def dense(x, layer):
    return x.reshape(len(x), -1) @ layer["w"] + layer["b"]


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def avg_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4


def dropout(x, key, shape):
    return jnp.where(jax.random.bernoulli(key, 0.5, shape), x * 2, 0)


def cubic(t):
    """Keys' weights, a = -0.75, of the four pixels around a fraction t."""
    a = -0.75

    def near(d):
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d):
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def sample(source, grid, kernel="bilinear"):
    """Source N x C x H x W at a grid of x and y, each N x P: N x C x P; zeros outside."""
    n, c, h, w = source.shape
    flat = source.reshape(n, c, h * w)

    def taps(coordinate, size):
        place = ((coordinate + 1) * size - 1) / 2
        if kernel == "integer":
            return [(jnp.floor(place + 0.5).astype(jnp.int32), jnp.ones_like(place))]
        first = jnp.floor(place)
        t = place - first
        first = first.astype(jnp.int32)
        weights = [1 - t, t] if kernel == "bilinear" else cubic(t)
        start = first if kernel == "bilinear" else first - 1
        return [(start + i, weight) for i, weight in enumerate(weights)]

    total = 0
    for row, weight_y in taps(grid[1], h):
        for column, weight_x in taps(grid[0], w):
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            index = jnp.clip(row, 0, h - 1) * w + jnp.clip(column, 0, w - 1)
            weight = jnp.where(inside, weight_x * weight_y, 0)
            total += jnp.take_along_axis(flat, index[:, None], 2) * weight[:, None]
    return total


def homogeneous(h, w):
    points = works.target_points(h, w)
    return jnp.asarray(np.concatenate([points, np.ones((len(points), 1))], 1).T, jnp.float32)


def affine_grid(theta, h, w):
    places = theta.reshape(-1, 2, 3) @ homogeneous(h, w)
    return places[:, 0], places[:, 1]


def projective_grid(theta, h, w):
    matrix = jnp.concatenate([theta, jnp.ones((len(theta), 1))], 1).reshape(-1, 3, 3)
    places = matrix @ homogeneous(h, w)
    return places[:, 0] / places[:, 2], places[:, 1] / places[:, 2]


def tps_grid(theta, h, w):
    places = theta.reshape(-1, 16, 2).swapaxes(1, 2) @ jnp.asarray(works.tps_basis(h, w).T)
    return places[:, 0], places[:, 1]


GRIDS = {"affine": affine_grid, "projective": projective_grid, "tps": tps_grid}


def transform(x, theta, warp="affine"):
    h, w = x.shape[2:]
    return sample(x, GRIDS[warp](theta, h, w)).reshape(x.shape)


class Parameters:
    """Layers drawn one after another: uniform within 1 / sqrt(fan-in)."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def _drawn(self, shape, fan_in):
        return jnp.asarray(self.random.uniform(-1, 1, shape) / np.sqrt(fan_in), jnp.float32)

    def conv(self, inputs, filters, side):
        fan_in = inputs * side * side
        return {"w": self._drawn((filters, inputs, side, side), fan_in), "b": self._drawn((filters,), fan_in)}

    def dense(self, inputs, units):
        return {"w": self._drawn((inputs, units), inputs), "b": self._drawn((units,), inputs)}

    def theta(self, inputs, identity):
        return {"w": jnp.zeros((inputs, len(identity))), "b": jnp.asarray(identity, jnp.float32)}


IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def tutorial(draw):
    p = {"c1": draw.conv(1, 8, 7), "c2": draw.conv(8, 10, 5), "f1": draw.dense(90, 32), "theta": draw.theta(32, IDENTITY)}
    p |= {"c3": draw.conv(1, 10, 5), "c4": draw.conv(10, 20, 5), "f2": draw.dense(320, 50), "f3": draw.dense(50, 10)}

    def forward(p, x, key):
        y = jax.nn.relu(max_pool(conv(x, p["c1"])))
        y = jax.nn.relu(max_pool(conv(y, p["c2"])))
        x = transform(x, dense(jax.nn.relu(dense(y, p["f1"])), p["theta"]))
        x = jax.nn.relu(max_pool(conv(x, p["c3"])))
        maps, units = jax.random.split(key)
        x = jax.nn.relu(max_pool(dropout(conv(x, p["c4"]), maps, (len(x), 20, 1, 1))))
        x = jax.nn.relu(dense(x, p["f2"]))
        return dense(dropout(x, units, x.shape), p["f3"])

    return p, forward


def st_cnn_affine(draw):
    p = {"c1": draw.conv(1, 20, 5), "c2": draw.conv(20, 20, 5), "f1": draw.dense(320, 20), "theta": draw.theta(20, IDENTITY)}
    p |= {"c3": draw.conv(1, 32, 9), "c4": draw.conv(32, 32, 7), "f2": draw.dense(800, 256), "f3": draw.dense(256, 10)}

    def forward(p, x, key):
        y = jax.nn.relu(max_pool(conv(avg_pool(x), p["c1"])))
        y = jax.nn.relu(conv(y, p["c2"]))
        x = transform(x, dense(jax.nn.relu(dense(y, p["f1"])), p["theta"]))
        x = jax.nn.relu(max_pool(conv(x, p["c3"])))
        x = jax.nn.relu(max_pool(conv(x, p["c4"])))
        return dense(jax.nn.relu(dense(x, p["f2"])), p["f3"])

    return p, forward


def st_fcn_tps(draw):
    identity = works.control_points().ravel().tolist()
    p = {"l1": draw.dense(784, 32), "l2": draw.dense(32, 32), "l3": draw.dense(32, 32), "theta": draw.theta(32, identity)}
    p |= {"f1": draw.dense(784, 256), "f2": draw.dense(256, 256), "f3": draw.dense(256, 10)}

    def forward(p, x, key):
        y = x
        for name in ["l1", "l2", "l3"]:
            y = jax.nn.relu(dense(y, p[name]))
        x = transform(x, dense(y, p["theta"]), "tps")
        return dense(jax.nn.relu(dense(jax.nn.relu(dense(x, p["f1"])), p["f2"])), p["f3"])

    return p, forward


SVHN = [(48, True), (64, False), (128, True), (160, False), (192, True), (192, False), (192, True), (192, False)]


def svhn(transformers, draw):
    p, channels, side = {}, 3, 64
    for i, (filters, pooled) in enumerate(SVHN):
        if transformers and i < 4:
            p |= {f"a{i}": draw.dense(channels * side * side, 32), f"b{i}": draw.dense(32, 32), f"theta{i}": draw.theta(32, IDENTITY)}
        p[f"c{i}"] = draw.conv(channels, filters, 5)
        channels, side = filters, side // 2 if pooled else side
    p |= {f"f{i}": draw.dense(3072, 3072) for i in range(3)} | {"heads": draw.dense(3072, 55)}

    def forward(p, x, key):
        for i, (_, pooled) in enumerate(SVHN):
            if transformers and i < 4:
                y = jax.nn.relu(dense(jax.nn.relu(dense(x, p[f"a{i}"])), p[f"b{i}"]))
                x = transform(x, dense(y, p[f"theta{i}"]))
            x = jax.nn.relu(conv(x, p[f"c{i}"], padding=2))
            x = max_pool(x) if pooled else x
        for i in range(3):
            x = jax.nn.relu(dense(x, p[f"f{i}"]))
        return dense(x, p["heads"])

    return p, forward


NETWORKS = {
    "step.tutorial": tutorial,
    "step.st_cnn_affine": st_cnn_affine,
    "step.st_fcn_tps": st_fcn_tps,
    "step.svhn_multi": partial(svhn, True),
    "step.svhn_cnn": partial(svhn, False),
}


def build_step(name):
    shape, classes, heads, count = works.STEPS[name]
    parameters, forward = NETWORKS[name](Parameters())
    assert sum(p.size for p in jax.tree.leaves(parameters)) == count
    random = np.random.default_rng(0)
    images = jnp.asarray(random.random(shape), jnp.float32)
    labels = jnp.asarray(random.integers(0, classes, shape[0] * heads))

    def loss_of(parameters, images, labels, key):
        logits = jax.nn.log_softmax(forward(parameters, images, key).reshape(-1, classes))
        return -jnp.take_along_axis(logits, labels[:, None], 1).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(parameters, velocity, images, labels, number):
        key = jax.random.fold_in(jax.random.key(0), number)
        gradients = jax.grad(loss_of)(parameters, images, labels, key)
        velocity = jax.tree.map(lambda v, g: works.MOMENTUM * v + g, velocity, gradients)
        return jax.tree.map(lambda p, v: p - works.LEARNING_RATE * v, parameters, velocity), velocity

    state = [parameters, jax.tree.map(jnp.zeros_like, parameters), 0]
    del parameters

    def run():
        state[0], state[1] = step(state[0], state[1], images, labels, state[2])
        state[2] += 1
        jax.block_until_ready(state[:2])

    return run


def build_sample(work):
    samples, _, height, width = work.shape
    source = jnp.asarray(np.random.default_rng(0).random(work.shape), jnp.float32)
    theta, ones = jnp.asarray(works.thetas(work.warp, samples)), jnp.ones(work.shape)

    def forward(source, theta):
        return sample(source, GRIDS[work.warp](theta, height, width), work.kernel).reshape(work.shape)

    @jax.jit
    def both(source, theta, ones):
        if work.to_input:
            output, backward = jax.vjp(forward, source, theta)
        else:
            output, backward = jax.vjp(partial(forward, source), theta)
        return output, backward(ones)

    return lambda: jax.block_until_ready(both(source, theta, ones))


def rehearse():
    """A gradient of a tiny convolution and gather."""

    def f(x):
        y = max_pool(conv(x, {"w": jnp.ones((2, 1, 3, 3)), "b": jnp.ones(2)}))
        return dense(sample(y, (jnp.zeros((1, 4)), jnp.zeros((1, 4)))), {"w": jnp.ones((8, 4)), "b": jnp.ones(4)}).sum()

    jax.block_until_ready(jax.jit(jax.grad(f))(jnp.ones((1, 1, 8, 8))))


def build():
    if WORK in NETWORKS:
        return build_step(WORK)
    if works.sample(WORK):
        return build_sample(works.sample(WORK))
    raise peer.Unsupported("no such work")


if __name__ == "__main__":
    peer.serve(build, rehearse)
