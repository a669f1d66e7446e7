"""Small files in the formats of the Street View House Numbers, for the tests: python make.py writes them beside this file.

Needs numpy, scipy, h5py, pillow and pyarrow. The pictures are drawn here: coloured slopes with a brighter block for each digit. Nothing of the real data set
is in them. resized.npz holds crops by Pillow.
"""

import gzip
import io
import pathlib
import tarfile
import tempfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import savemat

HERE = pathlib.Path(__file__).parent

# Width, height and the digits (value, left, top, width, height) of each picture, counted from 1. The second sticks out of its picture, the third has six digits,
# the fourth is a zero, the fifth has all five that a network can tell.
NUMBERS = [
    (61, 33, [(1, 12, 5, 10, 19), (9, 24, 6, 11, 18)]),
    (40, 24, [(2, -2, -1, 14, 20), (3, 13, 3, 12, 19), (7, 27, 4, 16, 22)]),
    (90, 30, [(n, 6 + 13 * n, 5, 11, 20) for n in range(6)]),
    (24, 31, [(0, 6, 7, 11, 17)]),
    (84, 28, [(d, 8 + 14 * i, 4 + i, 12, 18) for i, d in enumerate([8, 0, 5, 0, 4])]),
]


def picture(index):
    """Picture `index` as an array, H x W x 3."""
    width, height, digits = NUMBERS[index]
    y, x = np.mgrid[:height, :width]
    planes = [40 + 60 * x / width + 20 * index, 30 + 90 * y / height, 120 - 70 * (x + y) / (width + height)]
    image = np.stack(planes, axis=-1)
    for value, left, top, w, h in digits:
        image[max(top, 0) : top + h, max(left, 0) : left + w] += 60 + 9 * value
    return np.clip(image, 0, 255).astype(np.uint8)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return file.getvalue()


class References:
    """MATLAB's group #refs#, in which everything lies that is pointed at."""

    def __init__(self, file):
        self.group, self.count = file.create_group("#refs#"), 0

    def name(self):
        self.count += 1
        return f"r{self.count}"

    def data(self, values, kind):
        data = self.group.create_dataset(self.name(), data=np.array(values))
        data.attrs["MATLAB_class"] = np.bytes_(kind)
        return data.ref

    def struct(self, columns):
        """A struct of columns: a column of one value holds it, a longer one points at each."""
        group = self.group.create_group(self.name())
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for name, values in columns.items():
            if len(values) == 1:
                group.create_dataset(name, data=np.array([values], dtype="f8"))
            else:
                references = [self.data([[float(value)]], "double") for value in values]
                point(group, name, references)
        return group.ref


def point(group, name, references, **options):
    data = group.create_dataset(name, (len(references), 1), dtype=h5py.ref_dtype, **options)
    for row, reference in enumerate(references):
        data[row, 0] = reference


def digit_struct(path):
    """digitStruct.mat as MATLAB 7.3 writes it: HDF5 of the first version behind a header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
        references = References(file)
        names, boxes = [], []
        for index, (_, _, digits) in enumerate(NUMBERS):
            label, left, top, width, height = zip(*digits)
            label = [10 if digit == 0 else digit for digit in label]
            names.append(references.data([[ord(letter)] for letter in f"{index + 1}.png"], "char"))
            boxes.append(references.struct({"height": height, "label": label, "left": left, "top": top, "width": width}))
        struct = file.create_group("digitStruct")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        point(struct, "bbox", boxes, chunks=(3, 1), compression=3)
        point(struct, "name", names)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Oct  3 16:12:06 2011 HDF5 schema 1.00 ."
    with open(path, "r+b") as file:
        file.write(header.ljust(116) + bytes(8) + b"\0\2IM")


def archive():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "digitStruct.mat")
        digit_struct(path)
        struct = path.read_bytes()
    files = [(f"train/{index + 1}.png", png(picture(index))) for index in range(len(NUMBERS))]
    files += [("train/see_bboxes.m", b"% shows the boxes\n"), ("train/digitStruct.mat", struct)]
    with open(HERE / "train.tar.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo("train/")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def digits():
    """Four 32 x 32 pictures of a digit, N x 32 x 32 x 3, and their digits."""
    n, y, x, c = np.mgrid[:4, :32, :32, :3]
    return (x + 3 * y + 40 * n + 17 * c).astype(np.uint8), [1, 0, 9, 5]


def cropped():
    images, values = digits()
    labels = np.array([[10 if value == 0 else value] for value in values], dtype=np.uint8)
    arrays = {"X": np.transpose(images, (1, 2, 3, 0)), "y": labels}
    savemat(HERE / "digits_32x32.mat", arrays, do_compression=True)
    savemat(HERE / "plain_32x32.mat", {"y": labels.astype(float), "X": arrays["X"][..., :1]}, do_compression=False)


def hub():
    """The two tables of ufldl-stanford/svhn on the Hugging Face hub, with the Arrow types of its `datasets` library."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    boxes = pa.struct({"bbox": pa.list_(pa.list_(pa.int32(), 4)), "label": pa.list_(pa.int64())})
    full = [
        {
            "image": {"bytes": png(picture(index)), "path": None},
            "digits": {"bbox": [digit[1:] for digit in found], "label": [digit[0] for digit in found]},
        }
        for index, (_, _, found) in enumerate(NUMBERS)
    ]
    schema = pa.schema({"image": image, "digits": boxes})
    pq.write_table(pa.Table.from_pylist(full, schema=schema), HERE / "full_numbers.parquet")
    images, values = digits()
    cropped = [{"image": {"bytes": png(pixels), "path": None}, "label": value} for pixels, value in zip(images, values)]
    schema = pa.schema({"image": image, "label": pa.int64()})
    pq.write_table(pa.Table.from_pylist(cropped, schema=schema), HERE / "cropped_digits.parquet")


def resized():
    """Crops of the first picture resized by Pillow, whose bilinear filter widens where the picture shrinks."""
    image = Image.fromarray(picture(0))
    arrays = {}
    for name, box, size in [("shrunk", (2, 1, 60, 31), 16), ("grown", (20, 6, 37, 25), 32), ("mixed", (3, 4, 58, 12), 20)]:
        arrays[name] = np.asarray(image.crop(box).resize((size, size), Image.Resampling.BILINEAR))
        arrays[f"{name}_box"] = np.array(box)
    np.savez_compressed(HERE / "resized.npz", **arrays)


archive()
cropped()
hub()
resized()
