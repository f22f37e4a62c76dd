"""Models in files: named arrays and a configuration, in one .npz archive.

The archive is NumPy's own, uncompressed; the configuration is JSON, stored as bytes under
"config". A file may come from anywhere: nothing in it is ever executed, its members are checked
against its size before they are read, and the zip format's checksums are verified, so that a
damaged file is an error and not a wrong model.
"""

import errno
import fcntl
import json
import math
import os
import re
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastnn.data.rows import Array
from fastnn.files.config import to_config

FORMAT_VERSION = 3  # 3: every object as {"kind": class, field: value, ...}
DEEPEST = 100  # levels of the configuration: Python copies and pickles such, but not a thousand
LONGEST = 100  # digits of a whole number in it
# The start of an .npy file of version 1.0 as NumPy writes it, of the arrays that models have.
HEADER = re.compile(
    rb"\{'descr': '([<>]f[48]|\|u1)', 'fortran_order': False, "
    rb"'shape': \((\d{1,18}),(?: (\d{1,18}))?\), \} *\n"
)


def _checked_path(path: str | os.PathLike[str]) -> Path:
    try:
        checked = Path(path)
    except TypeError:
        raise TypeError(
            f"path={path!r}: expected the name of a file as text or a Path, e.g. 'model.npz'"
        ) from None
    if checked.suffix != ".npz":
        raise ValueError(f"path={str(path)!r}: models are .npz files, e.g. 'model.npz'")
    return checked


# ---- writing ------------------------------------------------------------------------------------


def save(path: str | os.PathLike[str], config: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file beside its place and move it there: a crash leaves the old one whole.

    An OSError names the path.
    """
    target = _checked_path(path)
    text = _text({"format": "fastnn", "version": FORMAT_VERSION} | config)
    # Plain numbers only. (allow_pickle=False is no keyword of savez before NumPy 2.1.)
    members: dict[str, Any] = {"config": np.frombuffer(text.encode(), np.uint8), **arrays}
    try:
        with replacement(target) as file:
            np.savez(file, **members)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _text(config: dict[str, Any]) -> str:
    """The configuration as JSON; ValueError if `load` would refuse it."""
    try:
        described = to_config(config)
    except RecursionError:
        raise ValueError(f"metadata is nested more than {DEEPEST} deep, or holds itself") from None
    try:
        text = json.dumps(described)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be what JSON can hold: {error}") from None
    _parsed(text)
    return text


@contextmanager
def replacement(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of the one at `path` when the block ends without an error.

    It keeps owner and permissions of the old file; a symbolic link stays one, and what it leads to
    is replaced.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    before = replaceable(target)
    # Short, whatever the name of the target; writers of one target find what others have left.
    prefix = f".fastnn-{zlib.crc32(os.fsencode(target.name)):08x}-"
    _remove_abandoned(target.parent, prefix)
    with _locked_file(target.parent, prefix) as file:
        try:
            if before is not None:
                with suppress(PermissionError):  # only root may give files away
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power failure could leave the new name without content
            os.replace(file.name, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(file.name)


def replaceable(target: Path) -> os.stat_result | None:
    """The status of the old file, None if there is none; OSError if it may not be replaced."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r}; make it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(
            errno.EACCES,
            f"the folder {str(target.parent)!r} may not be written to, where a new file is made "
            f"before it takes the place of the old one",
        )
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, "not a file that a new one could replace")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    folder = target.parent.stat()
    owners = (0, status.st_uid, folder.st_uid)
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in owners:
        raise PermissionError(errno.EPERM, "only its owner may replace a file in this folder")
    return status


@contextmanager
def _locked_file(folder: Path, prefix: str) -> Iterator[BinaryIO]:
    """A new file of a name of its own, locked for as long as somebody writes it."""
    while True:
        with open(folder / f"{prefix}{secrets.token_hex(4)}", "xb") as file:
            with suppress(OSError):  # file systems without locks: nobody removes the file
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else it was removed before it was locked
                yield file
                return


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove the files that killed processes have left: those that nobody locks."""
    ours = re.compile(re.escape(prefix) + "[0-9a-f]{8}")
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.path for entry in entries if ours.fullmatch(entry.name)]:
            with suppress(OSError), open(name, "rb", opener=_open_at_once) as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name)


def _open_at_once(name: str, flags: int) -> int:
    """Open a file; no pipe is waited for, and no link is followed."""
    return os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


# ---- reading ------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The configuration and the arrays of a file that `save` wrote.

    Raises OSError if the file cannot be opened, ValueError if it is not a whole fastnn model.
    """
    source = _checked_path(path)
    with open(source, "rb") as file:
        try:
            arrays = _arrays(file)
            config = _parsed(arrays.pop("config").tobytes())
            version = config["version"] if config["format"] == "fastnn" else None
        except Exception as error:  # of ten kinds, most of them of `zipfile`
            reason = str(error) or type(error).__name__
            raise ValueError(f"{source} is not a fastnn model, or is damaged: {reason}") from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{source} has format version {version}; this fastnn reads version {FORMAT_VERSION}"
        )
    return config, arrays


def _arrays(file: BinaryIO) -> dict[str, Array]:
    """The arrays by name. They take no more memory than the file, whatever it claims."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_places(file, members, archive.start_dir)
        arrays = {one.filename.removesuffix(".npy"): _array(archive, one) for one in members}
    if len(arrays) < len(members):
        raise ValueError("two members have the same name")
    return arrays


def _check_places(file: BinaryIO, members: list[zipfile.ZipInfo], end: int) -> None:
    """Raise unless every member lies in the file as it is, apart from the others, before `end`."""
    free = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ValueError(f"{member.filename} is compressed")
        if member.header_offset < free:
            raise ValueError(f"{member.filename} overlaps another member")
        file.seek(member.header_offset + 26)  # two lengths, then the name and what else there is
        lengths = struct.unpack("<HH", file.read(4))
        free = member.header_offset + 30 + sum(lengths) + member.file_size
    if free > end:
        raise ValueError("it is shorter than its members")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """An array of numbers; ValueError, before it is read, if it is not as long as it says."""
    name = member.filename
    with archive.open(member) as stream:
        start = stream.read(10)
        if start[:8] != b"\x93NUMPY\x01\x00":
            raise ValueError(f"{name} is not an array of NumPy's format 1.0")
        header = stream.read(int.from_bytes(start[8:], "little"))
        found = HEADER.fullmatch(header)
        if found is None:
            raise ValueError(f"{name} is not an array of numbers as a model has them")
        number_type, *sizes = found.groups()
        dtype = np.dtype(number_type.decode())
        shape = tuple(int(size) for size in sizes if size is not None)
        if len(start) + len(header) + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{name} is not as long as its header says")
        return np.frombuffer(stream.read(), dtype).reshape(shape)


def _parsed(text: str | bytes) -> Any:
    """What JSON says; ValueError if it is nested too deeply, or holds too long a number."""
    parsed = json.loads(text, parse_int=_whole_number)
    level = [parsed]
    for _ in range(DEEPEST):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return parsed
    raise ValueError(f"the configuration, metadata included, is nested more than {DEEPEST} deep")


def _parts(whole: object) -> Any:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()


def _whole_number(digits: str) -> int:
    if len(digits) > LONGEST:
        raise ValueError(
            f"the configuration, metadata included, holds a whole number of {len(digits)} digits; "
            f"expected {LONGEST} at most"
        )
    return int(digits)
