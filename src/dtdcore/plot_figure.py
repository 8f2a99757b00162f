# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The figure that all drawings return: it shows itself in notebooks and in windows.

matplotlib is imported here, so this module is imported where something is drawn.
"""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import matplotlib
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A matplotlib Figure that pyplot need not know.

    As the last expression of a notebook's cell it appears by itself. `figure.show()` makes it
    appear anywhere: in the middle of a cell, or from a script in a window. No display is needed
    otherwise, and nothing has to be closed.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def show(self, warn: bool = True) -> None:
        """Display the figure: in a notebook under the cell that runs, elsewhere in a window.

        The window stays until it is closed, or, where pyplot is interactive, while the program
        runs. pyplot is imported for it, and chooses its backend as it always does.

        Parameters
        ----------
        warn : bool
            Warn where there is neither a notebook nor a display.
        """
        display = _notebook_display()
        if display is not None:
            display(self)
            return
        from matplotlib import pyplot

        if self.canvas.manager is None:
            window = pyplot.figure(figsize=self.get_size_inches(), dpi=self.dpi).canvas.manager
            if type(window).show is FigureManagerBase.show:  # as for files: nothing to show it in
                pyplot.close(window.num)
                if warn:
                    warnings.warn(
                        f"no window can be opened (backend {matplotlib.get_backend()}); "
                        "figure.savefig('heatmaps.png') writes the picture",
                        stacklevel=2,
                    )
                return
            window.canvas.figure = self
            self.set_canvas(window.canvas)
        pyplot.show()


def _notebook_display() -> Any:
    """What displays an object under the cell of a notebook that runs; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    return ipython.display.display
