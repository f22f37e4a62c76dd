"""Models in files: named arrays and a configuration, in one .npz archive.

The archive is NumPy's own, uncompressed; the configuration is JSON, stored as bytes under
"config". Nothing in a file is ever executed (no pickle), and the zip format's checksums are
verified, so that a damaged file is an error and not a wrong model.
"""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastnn._validation import Array

FORMAT_VERSION = 3  # 3: every object as {"kind": class, field: value, ...}


def _checked_path(path: str | os.PathLike[str]) -> Path:
    checked = Path(path)
    if checked.suffix != ".npz":
        raise ValueError(f"path={str(path)!r}: models are .npz files, e.g. 'model.npz'")
    return checked


def save(path: str | os.PathLike[str], config: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file beside its place and move it there: a crash leaves the old one whole."""
    target = _checked_path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r}; make it first")
    try:
        text = json.dumps({"format": "fastnn", "version": FORMAT_VERSION} | config)
    except TypeError as error:
        raise ValueError(f"metadata must be what JSON can hold: {error}") from None
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            # Plain numbers only. (allow_pickle=False is no keyword of savez before NumPy 2.1.)
            members: dict[str, Any] = {"config": np.frombuffer(text.encode(), np.uint8), **arrays}
            np.savez(file, **members)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The configuration and the arrays of a file that `save` wrote.

    Raises FileNotFoundError if there is no such file, ValueError if it is not a whole fastnn model.
    """
    source = _checked_path(path)
    try:
        _check_members(source)
        with np.load(source, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        config = json.loads(arrays.pop("config").tobytes())
        version = config["version"] if config["format"] == "fastnn" else None
    except FileNotFoundError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        zipfile.BadZipFile,
        RuntimeError,
        MemoryError,
    ) as error:
        raise ValueError(f"{source} is not a fastnn model, or is damaged: {error}") from None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{source} has format version {version}; this fastnn reads version {FORMAT_VERSION}"
        )
    return config, arrays


def _check_members(source: Path) -> None:
    """Raise unless every member is whole, and as long as its header says.

    So an archive takes no more memory than its size on disk, whatever its headers claim.
    """
    with zipfile.ZipFile(source) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"wrong checksum of {damaged}")
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError("it is compressed")
            with archive.open(member) as file:
                if _claimed_bytes(file) != member.file_size:
                    raise ValueError(f"{member.filename} is not as long as its header says")


def _claimed_bytes(file: IO[bytes]) -> int:
    """The length of an .npy file according to its header."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version)
    if read is None:
        raise ValueError(f"unknown array format {version}")
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return file.tell() + math.prod(shape) * dtype.itemsize
