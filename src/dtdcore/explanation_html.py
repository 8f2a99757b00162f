# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An explanation in a notebook: its account as a table, its heatmaps as pictures, with NumPy alone.

Nothing depends on the page's style sheet. Volumes have a slider; where a page runs no scripts, they
show their middle slice.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from dtdcore.colours import Floats, channels_first, colorize, encode_png, finite, largest
from dtdcore.html_table import table_html
from dtdcore.naming import explained_classes
from dtdcore.volumes import chosen_slices

if TYPE_CHECKING:
    from dtdcore.explanation import Explanation

#: Heatmaps and volumes of one explanation that are shown at most.
HEATMAPS, VOLUMES = 8, 4
#: Slices of a volume, and pixels of a side of one, at most.
SLICES, SIDE = 64, 160

_PICTURE = "image-rendering:pixelated;margin:0;max-width:none"


def explanation_html(explanation: Explanation, summary: Sequence[str]) -> str:
    """Return the text, the audit as a table, and the first heatmaps, where inputs are images."""
    parts = [f"<div>{'<br>'.join(escape(line) for line in summary)}</div>"]
    if explanation.audit is not None:
        parts.append(table_html(explanation.audit.table()))
    parts += _pictures(explanation)
    return f"<div>{''.join(parts)}</div>"


def _pictures(explanation: Explanation) -> Iterator[str]:
    several = isinstance(explanation.inputs, dict)
    captions = _captions(explanation)
    per_sample = max(1, len(captions) // max(1, len(explanation)))
    for name, (inputs, relevance) in explanation._by_input().items():
        shape = inputs.shape[1:]
        if len(shape) not in (2, 3, 4) or 0 in shape or 0 in relevance.shape:
            continue
        x = channels_first(finite(inputs, "inputs"), 1)
        r = channels_first(finite(relevance, "relevance").reshape(-1, *shape), 1)
        title = f"heatmap of {name}" if several else "heatmap"
        if len(shape) < 4:
            for m, heatmap in enumerate(r[:HEATMAPS]):
                plane = heatmap.sum(axis=0) if len(shape) == 3 else heatmap
                yield _heatmap(plane, f"{title} {m}", captions[m])
        if len(shape) == 4:
            x, r = x.mean(axis=1), r.sum(axis=1)
        if r.ndim == 4 and (len(shape) == 4 or r.shape[1] > 4):  # slices; or many channels
            for m, heatmap in enumerate(r[:VOLUMES]):
                yield _volume(x[m // per_sample], heatmap, f"{title} {m}", captions[m])


def _captions(explanation: Explanation) -> list[str]:
    """Return what each heatmap explains: "zebra: 17.1"."""
    classes = explained_classes(explanation)
    f = explanation.score.reshape(-1)
    if classes is None:
        return [f"f(x) = {value:.4g}" for value in f]
    return [f"{name}: {value:.4g}" for name, value in zip(classes.reshape(-1), f, strict=True)]


def _figure(content: str, caption: str) -> str:
    text = f'<figcaption style="font-size:smaller">{escape(caption)}</figcaption>'
    style = "display:inline-block;vertical-align:top;margin:2px 8px 2px 0;max-width:100%"
    return f'<figure style="{style}">{content}{text}</figure>'


def _heatmap(plane: Floats, name: str, caption: str) -> str:
    image = (
        f'<img alt="{escape(name)}" style="{_PICTURE};height:8em" src="{_uri(colorize(plane))}">'
    )
    return _figure(image, caption)


def _volume(inputs: Floats, heatmap: Floats, name: str, caption: str) -> str:
    """Return slices of the input and of the heatmap side by side, moved by a slider.

    All slices are one picture, one below the other, behind a window of the height of one.
    """
    chosen = chosen_slices(len(heatmap), SLICES)
    x, r = _shrunk(inputs[chosen]), _shrunk(heatmap[chosen])
    count, height, width = r.shape
    em = 11.0 / max(height, width)
    wide, high, middle = em * width, em * height, count // 2
    low, span = x.min(), float(np.ptp(x)) or 1.0
    grey = np.rint(255 * (x - low) / span).astype(np.uint8).reshape(-1, width)
    strips = {
        "input": np.repeat(grey[..., None], 3, axis=-1),
        name: colorize(r.reshape(-1, width), largest(heatmap) or 1.0),
    }
    windows = "".join(
        f'<div style="display:inline-block;overflow:hidden;width:{wide:.3f}em;height:{high:.3f}em;'
        f'margin-right:4px"><img alt="{escape(what)}, slices" style="{_PICTURE};display:block;'
        f'width:{wide:.3f}em;height:{count * high:.3f}em;margin-top:{-middle * high:.3f}em" '
        f'src="{_uri(strip)}"></div>'
        for what, strip in strips.items()
    )
    move = (
        "const f=this.closest('figure'),v=+this.value;"
        f"f.querySelectorAll('img').forEach(i=>{{i.style.marginTop=(-v*{high:.3f})+'em'}});"
        f"f.querySelector('output').textContent={chosen}[v]"
    )
    slider = (
        f'<div><input type="range" min="0" max="{count - 1}" value="{middle}" step="1" '
        f'aria-label="slice of {escape(name)}" style="width:{2 * wide:.3f}em;max-width:80%" '
        f'oninput="{escape(move)}"> slice <output>{chosen[middle]}</output> of {len(heatmap)}</div>'
    )
    return _figure(windows + slider, caption)


def _shrunk(volume: Floats) -> Floats:
    """Return slices whose sides have SIDE pixels at most, by means of blocks."""
    step = -(-max(volume.shape[1:]) // SIDE)
    if step == 1:
        return volume
    edges = [np.arange(0, size, step) for size in volume.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(volume, edges[0], axis=1), edges[1], axis=2)
    counts = [
        np.diff(np.append(edge, size)) for edge, size in zip(edges, volume.shape[1:], strict=True)
    ]
    return sums / np.outer(*counts)


def _uri(rgb: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_png(rgb)).decode()}"
