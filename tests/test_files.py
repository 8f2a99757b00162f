# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Files are written whole, with the permissions of new files; no state of the process changes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading

import pytest

from dtdcore.files import whole_file

posix = pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")


@posix
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o000])
def test_permissions_are_those_of_a_new_file(tmp_path, umask):
    """In a process of its own, which may set its umask."""
    script = f"""
import os
os.umask({umask})
from dtdcore.files import whole_file
with whole_file({str(tmp_path / "a")!r}) as file:
    file.write(b"all")
assert os.umask(0) == {umask}
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert (tmp_path / "a").read_bytes() == b"all"


@posix
def test_the_umask_is_never_set(tmp_path, monkeypatch):
    """To read it means to set it, for all threads."""

    def umask(_):
        raise AssertionError("the umask is state of the whole process")

    monkeypatch.setattr(os, "umask", umask)
    with whole_file(tmp_path / "a") as file:
        file.write(b"all")
    assert (tmp_path / "a").read_bytes() == b"all"


def test_what_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")

    def write():
        with whole_file(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(FileNotFoundError, match="there is no folder"), whole_file(tmp_path / "b/c"):
        pass


def test_threads_that_write_the_same_file(tmp_path):
    """Each file is whole, whoever was last."""
    contents = [bytes([number]) * 50_000 for number in range(8)]

    def write(content):
        for _ in range(5):
            with whole_file(tmp_path / "a") as file:
                file.write(content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
