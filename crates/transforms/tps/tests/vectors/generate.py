"""Points mapped by SciPy's thin plate spline. Run beside this file: python generate.py

SciPy's kernel is r^2 log r, and its smoothing is added to the diagonal of the system, as our regularisation is.
"""

import numpy
from scipy.interpolate import RBFInterpolator

rng = numpy.random.default_rng(4)
points = rng.uniform(-1.3, 1.3, size=(40, 2))
arrays = {"points": numpy.ascontiguousarray(points.T)[None]}
for n in [2, 3, 4, 8]:
    axis = numpy.linspace(-1, 1, n)
    control = numpy.array([[x, y] for y in axis for x in axis])
    theta = control + rng.normal(scale=0.2, size=(2, n * n, 2))
    arrays[f"theta_{n}"] = theta.reshape(2, -1)
    for smoothing in [0.0, 0.01, 1.5]:
        mapped = [RBFInterpolator(control, moved, kernel="thin_plate_spline", degree=1, smoothing=smoothing)(points).T for moved in theta]
        arrays[f"mapped_{n}_{smoothing}"] = numpy.ascontiguousarray(mapped)
numpy.savez("thin_plate_spline.npz", **arrays)
