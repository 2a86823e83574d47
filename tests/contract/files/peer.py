"""Reads the files that the test `python.rs` wrote, prints the bits of every array, and writes others.

A line is the file, the name in hexadecimal digits, the shape and the bits.

Usage: peer.py FOLDER. Requires NumPy and safetensors.
"""

import json
import pathlib
import sys
import zipfile

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

folder = pathlib.Path(sys.argv[1])


def show(file, name, array):
    width = {4: np.uint32, 8: np.uint64}[array.dtype.itemsize]
    bits = np.ascontiguousarray(array).reshape(-1).view(width)
    print("read", file, name.encode().hex() or "-", list(array.shape), " ".join(map(str, bits)), sep="\t")


for stem in ["all", "state", "mu"]:
    for name, array in load_file(folder / f"{stem}.safetensors").items():
        show(f"{stem}.safetensors", name, array)
    with np.load(folder / f"{stem}.npz") as arrays:
        for name in arrays.files:
            if name == "metadata.json":
                metadata = json.loads(arrays[name])
            else:
                show(f"{stem}.npz", name, arrays[name])
    with safe_open(folder / f"{stem}.safetensors", "numpy") as file:
        assert file.metadata() == metadata, (file.metadata(), metadata)
    with zipfile.ZipFile(folder / f"{stem}.npz") as file:
        assert file.testzip() is None

wide = np.load(folder / "wide.npy")
show("all.npz", "wide", wide)

points = np.load(folder / "mu.npz")["points"]
assert points.shape == (6, 4)  # a row a particle
trace = np.genfromtxt(folder / "trace.csv", delimiter=",", names=True)
assert trace.dtype.names == ("step", "time", "energy", "dissipation") and len(trace) == 6
assert (np.diff(trace["energy"]) < 0).all() and trace["step"][-1] == 5

arrays = dict(np.load(folder / "all.npz"))
arrays = {name: arrays[name] for name in ["wide", "narrow", "integers", "matrix", "scalar", "empty"]}
np.savez(folder / "numpy.npz", **arrays)
np.savez_compressed(folder / "compressed.npz", **arrays)
save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, folder / "python.safetensors")
for name in ["integers", "matrix"]:
    np.save(folder / f"fortran-{name}.npy", np.asfortranarray(arrays[name]))
np.savez(folder / "python-measure.npz", points=np.array([[1.0, 2.0], [3.0, 4.0]]))

np.save(folder / "big-endian.npy", wide.astype(">f8"))
np.save(folder / "half.npy", wide[:1].astype("<f2"))
np.save(folder / "object.npy", np.array([{}], dtype=object))
save_file({"x": np.zeros(2, np.float16)}, folder / "half.safetensors")
