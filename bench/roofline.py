"""The most that one core can do: multiply-adds a second, and bytes a second from each cache.

``make roofline`` prints the table; a benchmark asks ``flops`` next to each of its rounds, since the
clock of a shared machine moves. Needs a C compiler.
"""

import sys
from collections.abc import Callable
from ctypes import CDLL, c_double, c_float, c_long, c_void_p
from functools import cache, partial
from statistics import median
from time import perf_counter

from bench import machine

if __name__ == "__main__":
    machine.use_one_thread()

import numpy as np

from bench.native import CompilerMissing, build_flags, compiled
from bench.report import aligned

ROUNDS = 1 << 19  # of multiply-adds, one or two milliseconds; exact in float32
SECONDS = 0.02  # a measurement of bandwidth
REPEATS = 5
N_PRODUCT = 1024  # rows and columns of the matrix product


@cache
def kernels(dtype: str) -> CDLL:
    """bench/native/roofline.h in the build of the core that is in use."""
    library = compiled("roofline", build_flags(dtype))
    real = {"float32": c_float, "float64": c_double}[dtype]
    library.multiply_add.argtypes = [c_long, real, real]
    library.multiply_add.restype = c_double
    library.read_only.argtypes = [c_void_p, c_long, c_long]
    library.read_only.restype = c_double
    library.read_write.argtypes = [c_void_p, c_long, c_long]
    library.chains.restype = library.width.restype = c_long
    return library


def seconds(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def flops(dtype: str = "float32") -> float:
    """Multiplications and additions a second: the fastest of three short runs, at this moment."""
    library = kernels(dtype)
    chains, width = library.chains(), library.width()
    expected = width * (chains * ROUNDS + chains * (chains - 1) // 2)
    fastest = float("inf")
    for _ in range(3):
        start = perf_counter()
        total = library.multiply_add(ROUNDS, 1.0, 1.0)
        fastest = min(fastest, perf_counter() - start)
        assert total == expected, f"{dtype} multiply-adds are wrong: {total} != {expected}"
    return 2.0 * chains * width * ROUNDS / fastest


def product_flops(dtype: str) -> float:
    """The same of NumPy's matrix product."""
    a = np.ones((N_PRODUCT, N_PRODUCT), dtype)
    out = np.empty_like(a)
    action = partial(np.matmul, a, a, out=out)
    action()
    assert (out == N_PRODUCT).all()
    return 2.0 * N_PRODUCT**3 / min(seconds(action) for _ in range(REPEATS))


def bandwidths(n_bytes: int) -> tuple[float, float]:
    """Bytes a second read from an array of that size, and of an array read and written in place."""
    library = kernels("float32")
    unit = 24 * 16  # numbers in the longest step of the loops
    n = max(n_bytes // 4 // unit, 1) * unit
    buffer = np.ones(n + 16, np.float32)
    array = buffer[-buffer.ctypes.data % 64 // 4 :][:n]  # on the border of a line
    passes = passes_for(partial(library.read_only, array.ctypes.data), n)

    def read() -> None:
        total = library.read_only(array.ctypes.data, n, passes)
        assert total == float(n) * passes, "the sum is wrong"

    reading = median(seconds(read) for _ in range(REPEATS))
    action = partial(library.read_write, array.ctypes.data, n, passes)
    writing = median(seconds(action) for _ in range(REPEATS))
    assert (array == 1 + REPEATS * passes).all(), "the array is wrong"
    return 4.0 * n * passes / reading, 4.0 * n * passes / writing


def passes_for(action: Callable[[int, int], object], n: int) -> int:
    """How many passes over n numbers take long enough, yet count exactly in float32."""
    passes = 1
    while seconds(partial(action, n, passes)) < SECONDS and passes * n < 1 << 28:
        passes *= 2
    return passes


def peaks() -> list[list[str]]:
    """The table of floating-point operations a second."""
    rows = [["Gflop/s", "multiply-add", f"NumPy {N_PRODUCT}^3 product", "of peak"]]
    for dtype in ("float32", "float64"):
        peak = median(flops(dtype) for _ in range(REPEATS))
        product = product_flops(dtype)
        cells = [f"{peak / 1e9:.0f}", f"{product / 1e9:.0f}", f"{product / peak:.2f}"]
        rows.append([dtype, *cells])
    return rows


def streams() -> list[list[str]]:
    """The table of bytes a second: arrays half as large as each cache, and twice the largest."""
    rows = [["GB/s", "array", "read", "read and write in place"]]
    l1, l2, l3 = machine.cache_bytes()
    # What a virtual machine calls its L3 is often shared with others: stay well inside.
    sizes = {"L1": l1 // 2, "L2": l2 // 2, "L3": min(8 * l2, l3 // 2), "DRAM": 2 * l3}
    for name, size in sizes.items():
        read, write = bandwidths(size)
        rows.append([name, f"{size >> 10:,} KiB", f"{read / 1e9:.0f}", f"{write / 1e9:.0f}"])
    return rows


def main() -> None:
    print(*machine.description(), sep="\n")
    print("One core, in the vectors of the build in use. Bytes of the array per second and pass.\n")
    print(aligned(peaks()), aligned(streams()), sep="\n\n")


if __name__ == "__main__":
    try:
        main()
    except CompilerMissing as missing:
        sys.exit(str(missing))
