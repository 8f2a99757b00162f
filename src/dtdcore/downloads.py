# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Data files, checked to the bit: from a folder of the user's, or from public mirrors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dtdcore.arrays import require

ENVIRONMENT = "DTDCORE_DATA"
TIMEOUT = 30.0  # seconds without an answer, after which the next mirror is tried


class WrongFileError(ValueError):
    """A file of the user's is not the published one."""


@dataclass(frozen=True)
class Mirror:
    """One public address of a file, with the sha256 sum of the bytes that it serves."""

    url: str
    sha256: str


def find(name: str, mirrors: Sequence[Mirror], folder: str | os.PathLike[str] | None) -> Path:
    """Path of a verified file on this machine.

    Parameters
    ----------
    name
        The file, in its subfolder: "mnist/t10k-labels-idx1-ubyte.gz".
    mirrors
        Where it can be had. A local file must have the sha256 sum of one of them.
    folder
        Where it is, in that subfolder or directly. None: the folder of the environment variable
        ``DTDCORE_DATA`` when that is set, else `download`.

    Raises
    ------
    FileNotFoundError
        There is a data folder, and the file is not in it.
    WrongFileError
        The file in the data folder has another sha256 sum.
    ConnectionError, ImportError
        As for `download`.
    """
    chosen = folder if folder is not None else os.environ.get(ENVIRONMENT) or None
    if chosen is None:
        return download(name, mirrors)
    candidates = [Path(chosen, name), Path(chosen, Path(name).name)]
    for path in candidates:
        if path.is_file():
            _verify(path, mirrors)
            return path
    origin = "argument folder" if folder is not None else f"environment variable {ENVIRONMENT}"
    raise FileNotFoundError(
        f"no {Path(name).name} in the data folder {chosen} ({origin}): looked for "
        f"{' and '.join(str(path) for path in candidates)}; when no data folder is named, the "
        "file is downloaded"
    )


def download(name: str, mirrors: Sequence[Mirror], cache: Path | None = None) -> Path:
    """Fetch a file from the first mirror that delivers the right bytes, or take it from the cache.

    pooch downloads to a temporary name and renames it only when its sha256 sum is right.

    Parameters
    ----------
    name, mirrors
        As for `find`.
    cache
        The cache folder; None: pooch's, for this user and package.

    Raises
    ------
    ConnectionError
        No mirror delivered the right bytes; the message says what to do.
    ImportError
        Without pooch (``pip install 'dtdcore[data]'``).
    """
    pooch = require("pooch", "data")
    requests = require("requests", "data")  # comes with pooch, which raises its exceptions
    path = Path(pooch.os_cache("dtdcore") if cache is None else cache) / name
    if path.is_file() and _sha256(path) in {mirror.sha256 for mirror in mirrors}:
        return path
    failures = []
    for mirror in mirrors:
        try:
            fetched = pooch.retrieve(
                mirror.url,
                known_hash=f"sha256:{mirror.sha256}",
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=1 << 16),
            )
        except requests.exceptions.HTTPError as error:
            failures.append(f"{mirror.url} (HTTP status {error.response.status_code})")
        except requests.exceptions.RequestException as error:
            failures.append(f"{mirror.url} ({type(error).__name__})")
        except ValueError:  # pooch's answer to bytes with another sum
            failures.append(f"{mirror.url} (wrong sha256 sum)")
        else:
            return Path(fetched)
    raise ConnectionError(
        f"could not download {name}: no mirror delivered the right file. Put it into a folder and "
        f"name that folder: {ENVIRONMENT}=<folder> in the environment, folder=<folder> in Python, "
        f"--data <folder> on the command line. Tried {'; '.join(failures)}"
    )


def _verify(path: Path, mirrors: Sequence[Mirror]) -> None:
    known = list(dict.fromkeys(mirror.sha256 for mirror in mirrors))
    found = _sha256(path)
    if found not in known:
        raise WrongFileError(
            f"{path} is not the published file: its sha256 sum is {found}, expected "
            f"{' or '.join(known)}; replace it, or remove it from the data folder"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
