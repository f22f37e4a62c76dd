"""BLAS from C: the loop of bench/native/blas_step.h over SciPy's OpenBLAS.

No library does this for its users; it is what a careful C programmer would get without writing a
matrix product. The update is one sgemm that adds straight into W.
"""

import ctypes
from collections.abc import Sequence

import numpy as np
import scipy
from scipy.linalg import cython_blas

from bench.native import compiled
from bench.peers.base import Peer
from bench.workloads import Array, Mode, Net, Weights, targets

# For a peer's good: -ffast-math, which fastnn does without, lets gcc use its vector expf.
FLAGS = ("-O3", "-march=native", "-ffast-math")
# Of a large batch: 30-64-32-1 is 2.5 times as fast as with all rows at once, wide nets a little.
CHUNK_ROWS = 256


def address_of_sgemm() -> int:
    """Where SciPy keeps the function, out of the capsule that Cython would cimport it from."""
    capsule = cython_blas.__pyx_capi__["sgemm"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))


Pointers = ctypes.POINTER(ctypes.c_void_p)


def pointers(arrays: Sequence[Array]) -> ctypes.Array:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


class CNet(ctypes.Structure):
    """``struct net`` in the header."""

    _fields_ = [
        ("sgemm", ctypes.c_void_p),
        ("n_layers", ctypes.c_int),
        ("is_binary", ctypes.c_int),
        ("widths", ctypes.POINTER(ctypes.c_int)),
        *((name, Pointers) for name in ("W", "b", "W_next", "a", "da")),
    ]


class BlasPeer(Peer):
    version = scipy.__version__

    def __init__(self, net: Net, mode: Mode) -> None:
        super().__init__(net, mode)
        self.library = compiled("blas_step", FLAGS)

    def load_data(self, X: Array, y: Array) -> None:
        self.X, self.t = X, targets(y, self.net.widths[-1])
        rows = min(self.batch_size(len(X)), CHUNK_ROWS)
        self.a = [np.empty((rows, n), np.float32) for n in self.net.widths[1:]]
        self.da = [np.empty_like(a) for a in self.a]

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.W = [w.copy() for w in weights[0::2]]
        self.b = [np.concatenate([b, b]) for b in weights[1::2]]  # behind: a chunk's update
        self.W_next = [w.copy() for w in self.W]

    def train_epoch(self) -> None:
        m = self.batch_size(len(self.X))
        W_next = self.W if m <= CHUNK_ROWS else self.W_next
        arrays = (self.W, self.b, W_next, self.a, self.da)
        widths = (ctypes.c_int * len(self.net.widths))(*self.net.widths)
        tables = [ctypes.cast(pointers(a), Pointers) for a in arrays]
        net = CNet(address_of_sgemm(), len(self.W), self.net.is_binary, widths, *tables)
        data = [ctypes.c_void_p(a.ctypes.data) for a in (self.X, self.t)]
        sizes = [ctypes.c_long(n) for n in (len(self.X), m, CHUNK_ROWS)]
        rate = ctypes.c_float(self.learning_rate)
        self.library.epoch(ctypes.byref(net), *data, *sizes, rate)

    def weights(self) -> Weights:
        halves = [b[: len(b) // 2] for b in self.b]
        return [w for pair in zip(self.W, halves, strict=True) for w in pair]
