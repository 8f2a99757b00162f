# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The folder that results go to, and the names that they will have."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from dtdcore.jobs import UserError
from dtdcore.jobs.inputs import Source

#: Inputs on one contact sheet.
PER_SHEET = 64


class OutputFolder:
    """Names of the results of a run: heatmaps.npz, contact-sheet.png and INPUT.png.

    With several methods there is one heatmaps-METHOD.npz each; pictures show all methods.
    """

    def __init__(self, folder: Path, methods: Sequence[str]) -> None:
        self.folder, self.methods = folder, methods
        self._replaced: list[Path] = []
        self._made = False

    def heatmaps(self, method: str) -> Path:
        """The file of all heatmaps of a method."""
        suffix = "" if len(self.methods) == 1 else f"-{method.replace(':', '-')}"
        return self.folder / f"heatmaps{suffix}.npz"

    def picture(self, name: str) -> Path:
        """The picture of one input."""
        return self.folder / f"{name}.png"

    def sheet(self, number: int) -> Path:
        """A contact sheet; they count from 0."""
        return self.folder / f"contact-sheet{f'-{number + 1}' * (number > 0)}.png"

    def prepare(self, sources: Sequence[Source], pictures: bool, force: bool) -> None:
        """Make the folder, and see that nothing will be overwritten.

        Raises
        ------
        UserError
            If a result exists and `force` is not given, would replace an input, or cannot be
            written.
        """
        planned = list(self._planned(sources, pictures))
        inputs = {source.path.resolve() for source in sources}
        for path in planned:
            if path.resolve() in inputs:
                raise UserError(f"{path} is an input and would be replaced: choose another --out")
        if pictures and len({str(path).casefold() for path in planned}) < len(planned):
            raise UserError("an input is called contact-sheet, as a result is: rename it")
        present = [path for path in planned if path.exists()]
        if present and not force:
            more = f" and {len(present) - 1} more" if len(present) > 1 else ""
            raise UserError(
                f"{present[0]}{more} exist{'s' * (len(present) == 1)}: replace with --force, or "
                "choose another --out"
            )
        self._made = not self.folder.exists()
        make_folder(self.folder)
        self._replaced = present

    def remove_old(self, written: Sequence[Path]) -> None:
        """Remove results of an earlier run that this one was to replace and did not.

        Where nothing is written a folder that was made for it goes, too.
        """
        for path in set(self._replaced) - set(written):
            path.unlink(missing_ok=True)
        if self._made and not written:
            with suppress(OSError):  # not empty: others write there
                self.folder.rmdir()

    def _planned(self, sources: Sequence[Source], pictures: bool) -> Iterable[Path]:
        yield from (self.heatmaps(method) for method in self.methods)
        if not pictures:
            return
        names = [source.sample_name(i) for source in sources for i in range(source.count)]
        yield from (self.sheet(number) for number in range(-(-len(names) // PER_SHEET)))
        yield from (self.picture(name) for name in names)


def make_folder(folder: Path) -> None:
    """Make a folder for results where there is none.

    Raises
    ------
    UserError
        If it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be written to ({error.strerror}): choose another --out"
        ) from None
