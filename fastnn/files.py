"""Models in files: named arrays and a configuration, in one .npz archive.

The archive is NumPy's own, uncompressed; the configuration is JSON, stored as bytes under
"config". Nothing in a file is ever executed (no pickle), and the zip format's checksums are
verified, so that a damaged file is an error and not a wrong model.
"""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fastnn._validation import Array

FORMAT_VERSION = 1


def _checked_path(path: str | os.PathLike[str]) -> Path:
    checked = Path(path)
    if checked.suffix != ".npz":
        raise ValueError(f"path={str(path)!r}: models are .npz files, e.g. 'model.npz'")
    return checked


def save(path: str | os.PathLike[str], config: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file beside its place and move it there: a crash leaves the old one whole."""
    target = _checked_path(path)
    text = json.dumps({"format": "fastnn", "version": FORMAT_VERSION} | config)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                config=np.frombuffer(text.encode(), np.uint8),
                **arrays,
            )
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The configuration and the arrays of a file that `save` wrote.

    Raises FileNotFoundError if there is no such file, ValueError if it is not a whole fastnn model.
    """
    source = _checked_path(path)
    try:
        _refuse_compressed(source)
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
    ) as error:
        raise ValueError(f"{source} is not a fastnn model, or is damaged: {error}") from None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{source} has format version {version}; this fastnn reads version {FORMAT_VERSION}"
        )
    return config, arrays


def _refuse_compressed(source: Path) -> None:
    """An archive as `save` writes it takes no more memory than its size on disk."""
    with zipfile.ZipFile(source) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is compressed")
        if (member := archive.testzip()) is not None:
            raise ValueError(f"Bad CRC-32 for {member}")
