"""What the boxes of SVHN's house numbers are like, in a small table: python fit.py ANNOTATIONS.csv.gz writes statistics.toml beside this file.

Needs numpy and scipy. The annotations have a line for each photograph, `split,file,width,height,digits`, with the digits as `label xmin ymin xmax ymax;...` and 10
for the zero. Only the training split is read, and numbers of more than five digits are left out. No photograph and no single annotation is in the table.

A quantity is written as its quantiles at normal scores: the value below which a share Phi(z) of all lies, for z from -3 to 3. The correlations are those of normal
scores, within a number.
"""

import csv
import gzip
import pathlib
import sys

import numpy as np
from scipy.stats import norm, rankdata

SCORES = np.arange(-3.0, 3.01, 0.5)


def numbers(path):
    """Width and height of the photograph, digit values and their boxes (left, top, right, bottom), of each number."""
    with gzip.open(path, "rt") as file:
        for row in list(csv.reader(file))[1:]:
            digits = np.array([[float(n) for n in digit.split()] for digit in row[4].split(";")])
            if row[0] == "train" and len(digits) <= 5 and (digits[:, 4] > digits[:, 2]).all() and (digits[:, 3] > digits[:, 1]).all():
                yield int(row[2]), int(row[3]), digits[:, 0].astype(int) % 10, digits[:, 1:]


def scores(values):
    return norm.ppf((rankdata(values) - 0.5) / len(values))


def correlation(groups):
    """The mean correlation of two members of a group, as normal scores among all (value, kind) of one kind."""
    flat = [(value, kind) for group in groups for value, kind in group]
    values, kinds = np.array([value for value, _ in flat]), np.array([kind for _, kind in flat])
    z = np.zeros(len(flat))
    for kind in set(kinds):
        z[kinds == kind] = scores(values[kinds == kind])
    products, start = [], 0
    for group in groups:
        members = z[start : start + len(group)]
        products += [members[i] * members[j] for i in range(len(group)) for j in range(i)]
        start += len(group)
    return np.mean(products)


def main(path):
    random = np.random.default_rng(0)
    lengths, digits = np.zeros(5), np.zeros((5, 5, 10))
    quantities = {name: [] for name in ["height", "width", "width_of_one", "gap", "rise", "bend", "left", "right", "top", "bottom"]}
    sizes, width_groups, gap_groups, margin_groups = [], [], [], []
    for width, height, values, boxes in numbers(path):
        count = len(values)
        lengths[count - 1] += 1
        for place, value in enumerate(values):
            digits[count - 1, place, value] += 1
        left, top, right, bottom = boxes.T
        # Nearly all numbers have boxes of one height. Everything else is in units of it.
        unit = (bottom - top).mean()
        sizes.append((width, height))
        # Boxes are whole pixels; the true edges are anywhere within half a pixel.
        loose = lambda n: random.uniform(-0.5, 0.5, n) / unit
        quantities["height"].append(unit + random.uniform(-0.5, 0.5))
        widths = (right - left) / unit + loose(count)
        for value, w in zip(values, widths):
            quantities["width_of_one" if value == 1 else "width"].append(w)
        width_groups.append([(w, int(value == 1)) for value, w in zip(values, widths)])
        gaps = (left[1:] - right[:-1]) / unit + loose(count - 1)
        quantities["gap"] += list(gaps)
        gap_groups.append([(g, 0) for g in gaps])
        middle = (top + bottom) / 2 / unit
        if count > 1:
            rise = (middle[-1] - middle[0]) / (count - 1)
            quantities["rise"].append(rise + loose(1)[0])
            quantities["bend"] += list((middle - middle[0] - rise * np.arange(count))[1:-1] + loose(count - 2))
        margins = [left.min() / unit, (width - right.max()) / unit, top.min() / unit, (height - bottom.max()) / unit]
        for name, margin in zip(["left", "right", "top", "bottom"], margins):
            quantities[name].append(margin)
        margin_groups.append([(margin, kind) for kind, margin in enumerate(margins)])
    write(lengths, digits, quantities, np.array(sizes), [width_groups, gap_groups, margin_groups])


def write(lengths, digits, quantities, sizes, groups):
    row = lambda values, places=4: "[" + ", ".join(f"{value:.{places}f}" for value in values) + "]"
    lines = ["# Made by fit.py from the boxes of SVHN's training photographs, which says what is what. Lengths but `height` are in heights of a digit's box.", ""]
    lines += [f"numbers = {int(lengths.sum())}", "# Shares of numbers of 1 to 5 digits.", f"length = {row(lengths / lengths.sum(), 5)}"]
    lines += ["# Shares of the digits 0 to 9, for each length at each place from the left, each counted once more than it is there."]
    lines += ["digits = ["]
    for count in range(5):
        places = ", ".join(row((digits[count, place] + 1) / (lengths[count] + 10)) for place in range(count + 1))
        lines.append(f"    [{places}],")
    lines += ["]", "# The standard scores at which quantities are written, and the share of values below.", f"scores = {row(SCORES, 1)}", f"shares = {row(norm.cdf(SCORES), 5)}"]
    notes = {
        "height": "Of a digit's box, in pixels.",
        "width": "Of a digit's box, but of a 1.",
        "width_of_one": "Of the box of a 1.",
        "gap": "Between neighbouring boxes.",
        "rise": "How much lower the next digit stands, on the mean over a number.",
        "bend": "How much lower a digit stands than on the line from the first to the last.",
        "left": "Between the number and the edges of its photograph.",
    }
    for name, values in quantities.items():
        if name in notes:
            lines.append(f"# {notes[name]}")
        lines.append(f"{name} = {row(np.quantile(values, norm.cdf(SCORES)))}")
    lines.append("# Correlations within a number: of its digits' widths, of its gaps, of its four margins.")
    for name, group in zip(["width", "gap", "margin"], groups):
        lines.append(f"{name}_correlation = {correlation(group):.3f}")
    lines.append("# Not drawn from, but compared: width and height of the photographs in pixels, the shares 0.1, 0.5 and 0.9.")
    for name, side in zip(["photograph_width", "photograph_height"], sizes.T):
        lines.append(f"{name} = {row(np.quantile(side, [0.1, 0.5, 0.9]), 1)}")
    pathlib.Path(__file__).with_name("statistics.toml").write_text("\n".join(lines) + "\n")


main(sys.argv[1])
