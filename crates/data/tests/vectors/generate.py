"""Warps of one digit by SciPy and OpenCV, for the tests of the distortions: python generate.py writes warps.npz beside this file.

Needs numpy, scipy and opencv-python-headless. Everything is computed in pixels from the centre, x to the right and y down, without the normalised coordinates
that the project works in.
"""

import gzip
import pathlib

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

HERE = pathlib.Path(__file__).parent
SAMPLE = HERE.parent.parent / "sample" / "train-images-idx3-ubyte.gz"


def canvas_points(height, width):
    """x and y of every canvas pixel's centre, from the canvas's centre."""
    y, x = np.mgrid[:height, :width].astype(float)
    return x + 0.5 - width / 2, y + 0.5 - height / 2


def read(image, x, y):
    """The image at points from its centre: bilinear, zero outside."""
    height, width = image.shape
    return map_coordinates(image, [y + height / 2 - 0.5, x + width / 2 - 0.5], order=1, mode="grid-constant").astype(np.float32)


def placed(image, degrees, scale, shift, canvas):
    """The image turned clockwise as seen, scaled, then shifted."""
    turn = cv2.getRotationMatrix2D((0, 0), -degrees, scale)[:, :2]
    x, y = canvas_points(*canvas)
    source = np.linalg.inv(turn) @ np.stack([x.ravel() - shift[0], y.ravel() - shift[1]])
    return read(image, source[0].reshape(canvas), source[1].reshape(canvas))


def perspective(image, corners):
    """The image's corners (from the top left, clockwise) moved to `corners`."""
    half = image.shape[0] / 2
    square = np.float32([[-half, -half], [half, -half], [half, half], [-half, half]])
    inverse = np.linalg.inv(cv2.getPerspectiveTransform(square, np.float32(corners)))
    x, y = canvas_points(*image.shape)
    u, v, w = inverse @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return read(image, (u / w).reshape(x.shape), (v / w).reshape(x.shape))


def bent(image, scale, displacements):
    """4 x 4 control points over the canvas, corners included; each reads the image at (p + d) / scale."""
    half = image.shape[0] / 2
    line = np.linspace(-half, half, 4)
    points = np.stack([np.tile(line, 4), np.repeat(line, 4)], axis=1)
    spline = RBFInterpolator(points, (points + displacements) / scale, kernel="thin_plate_spline", degree=1)
    x, y = canvas_points(*image.shape)
    source = spline(np.stack([x.ravel(), y.ravel()], axis=1))
    return read(image, source[:, 0].reshape(x.shape), source[:, 1].reshape(x.shape))


def main():
    image = np.frombuffer(gzip.open(SAMPLE).read(), np.uint8, 784, 16).reshape(28, 28) / 255.0
    random = np.random.default_rng(0)
    corners = np.array([[-12.0, -9.0], [8.0, -14.0], [13.0, 11.0], [-7.0, 10.0]])
    displacements = random.normal(0, 1.5, (16, 2))
    np.savez_compressed(
        HERE / "warps.npz",
        image=image.astype(np.float32),
        rotation=placed(image, 37.0, 1.0, (0.0, 0.0), (28, 28)),
        rotation_translation_scale=placed(image, -20.0, 0.8, (5.0, -3.5), (42, 42)),
        corners=corners,
        projective=perspective(image, corners),
        displacements=displacements,
        elastic=bent(image, 0.9, displacements),
    )


main()
