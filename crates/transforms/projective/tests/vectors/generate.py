"""Points mapped by OpenCV's perspectiveTransform. Run beside this file: python generate.py"""

import cv2
import numpy

rng = numpy.random.default_rng(3)
theta = numpy.array([1, 0, 0, 0, 1, 0, 0, 0]) + rng.normal(scale=0.3, size=(4, 8))
# Divisors stay away from zero, where OpenCV and we guard in different ways.
theta[:, 6:] = rng.uniform(-0.4, 0.4, size=(4, 2))
points = rng.uniform(-1, 1, size=(4, 2, 25))
mapped = []
for row, place in zip(theta, points):
    matrix = numpy.append(row, 1.0).reshape(3, 3)
    mapped.append(cv2.perspectiveTransform(place.T.reshape(-1, 1, 2).copy(), matrix).reshape(-1, 2).T)
numpy.savez("perspective_transform.npz", theta=theta, points=points, mapped=numpy.ascontiguousarray(mapped))
