# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The formulas of deep Taylor decomposition once more, slowly, in NumPy float64.

This file is the second opinion: it is written from the formulas (Montavon et al., Pattern
Recognition 65, 2017) and never imports dtdcore. Every rule is the explicit array q[n, i, j] of
shares that input i has in neuron j, and nothing is skipped, fused or blocked:

    z_j = sum_i q_ij        s_j = R_j / z_j  (0 where z_j = 0)        R_i = sum_j q_ij s_j

Shapes: x (n, i), w (i, j), b (j,) or None, a (n, j), relevance of the outputs (n, k, j) and of the
inputs (n, k, i), where k counts the targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def _f64(*arrays):
    return [None if a is None else np.asarray(a, dtype=np.float64) for a in arrays]


def positive(a):
    """max(0, a)."""
    return np.where(a > 0, a, 0.0)


def negative(a):
    """min(0, a)."""
    return np.where(a < 0, a, 0.0)


# ---------------------------------------------------------------------------- dense layer


def dense(x, w, b=None):
    """a_j = sum_i x_i w_ij + b_j."""
    x, w, b = _f64(x, w, b)
    a = (x[:, :, None] * w[None, :, :]).sum(axis=1)
    return a if b is None else a + b


def dense_gradient(w, g):
    """gx_i = sum_j w_ij g_j, for g (..., j)."""
    w, g = _f64(w, g)
    return (g[..., None, :] * w).sum(axis=-1)


def dense_weight_gradient(x, g):
    """gw_ij = sum_n x_ni g_nj and gb_j = sum_n g_nj."""
    x, g = _f64(x, g)
    return (x[:, :, None] * g[:, None, :]).sum(axis=0), g.sum(axis=0)


# ---------------------------------------------------------------------------- the rules' shares


@dataclass
class Part:
    """Shares q (n, i, j) and q_bias (n, j), and the fraction (n, j) of R_j that they share."""

    q: np.ndarray
    q_bias: np.ndarray
    fraction: np.ndarray

    @property
    def z(self):
        return self.q.sum(axis=1)


def _part(q, q_bias=None, fraction=1.0):
    n, _, m = q.shape
    zero = np.zeros((n, m))
    return Part(q, zero if q_bias is None else zero + q_bias, zero + fraction)


def linear_part(x, w, b, p, n, fraction=1.0):
    """q_ij = p_i w+_ij + n_i w-_ij with functions p, n of x; the bias is one more input x = 1.

    p and n take x and return an array of its shape, so p(1) and n(1) are the factors of b+ and b-.
    """
    q = p(x)[:, :, None] * positive(w) + n(x)[:, :, None] * negative(w)
    if b is None:
        return _part(q, fraction=fraction)
    one = np.ones((x.shape[0], 1))
    return _part(q, p(one) * positive(b) + n(one) * negative(b), fraction)


def shares_z(x, w, b=None):
    """LRP-0, also epsilon: q_ij = x_i w_ij; bias share b_j."""
    x, w, b = _f64(x, w, b)
    return [linear_part(x, w, b, lambda x: x, lambda x: x)]


def shares_z_plus(x, w, b=None):
    """z+: q_ij = x+_i w+_ij + x-_i w-_ij; bias share b+_j."""
    x, w, b = _f64(x, w, b)
    return [linear_part(x, w, b, positive, negative)]


def shares_z_box(x, w, b=None, *, low, high):
    """zB: q_ij = x_i w_ij - l_i w+_ij - h_i w-_ij; bias share b_j."""
    x, w, b, low, high = _f64(x, w, b, low, high)
    low, high = np.broadcast_to(low, x.shape[1:]), np.broadcast_to(high, x.shape[1:])
    q = x[:, :, None] * w - low[None, :, None] * positive(w) - high[None, :, None] * negative(w)
    return [_part(q, b)]


def shares_gamma(x, w, b=None, *, gamma):
    """gamma: q_ij = x_i (w_ij + gamma w+_ij); bias share b_j + gamma b+_j."""
    x, w, b = _f64(x, w, b)
    q = x[:, :, None] * (w + gamma * positive(w))
    return [_part(q, None if b is None else b + gamma * positive(b))]


def shares_generalized_gamma(x, w, b=None, *, gamma, neuron_bias=None):
    """Generalised gamma: the contributions with the sign of a_j weigh (1 + gamma).

    a_j > 0: q = x w + gamma (x+ w+ + x- w-); a_j < 0: q = x w + gamma (x+ w- + x- w+);
    a_j = 0: q = 0, so nothing is passed on and R_j is lost. a_j has the neuron's own bias
    (``neuron_bias``) whether or not the bias takes a share (``b``).
    """
    x, w, b, neuron_bias = _f64(x, w, b, neuron_bias)
    a = dense(x, w, b if neuron_bias is None else neuron_bias)
    xp, xn, wp, wn = positive(x)[:, :, None], negative(x)[:, :, None], positive(w), negative(w)
    plain = x[:, :, None] * w
    up = plain + gamma * (xp * wp + xn * wn)
    down = plain + gamma * (xp * wn + xn * wp)
    sign = np.sign(a)[:, None, :]
    q = np.where(sign > 0, up, np.where(sign < 0, down, 0.0))
    if b is None:
        return [_part(q)]
    qb_up, qb_down = b + gamma * positive(b), b + gamma * negative(b)
    q_bias = np.where(a > 0, qb_up, np.where(a < 0, qb_down, 0.0))
    return [_part(q, q_bias)]


def shares_alpha_beta(x, w, b=None, *, alpha, beta, conserve=False):
    """alpha-beta: R_i = sum_j (alpha q+_ij / z+_j - beta q-_ij / z-_j) R_j.

    q+ = x+ w+ + x- w- (all shares >= 0, bias b+), q- = x- w+ + x+ w- (all <= 0, bias b-).
    As published, a part that is empty loses its own fraction, so a neuron without negative part
    passes alpha R_j on (and -beta R_j is booked as lost). ``conserve``: the part that is there
    takes R_j whole.
    """
    x, w, b = _f64(x, w, b)
    up = linear_part(x, w, b, positive, negative, alpha)
    down = linear_part(x, w, b, negative, positive, -beta)
    if conserve:
        up_empty, down_empty = up.z + up.q_bias == 0, down.z + down.q_bias == 0
        up.fraction = np.where(down_empty, 1.0, np.where(up_empty, 0.0, up.fraction))
        down.fraction = np.where(
            up_empty & ~down_empty, 1.0, np.where(down_empty, 0.0, down.fraction)
        )
    return [up, down]


def shares_w_square(x, w, b=None):
    """w2: q_ij = w_ij^2; bias share b_j^2."""
    x, w, b = _f64(x, w, b)
    q = np.broadcast_to(w * w, (x.shape[0], *w.shape))
    return [_part(q, None if b is None else b * b)]


def shares_flat(x, w, b=None):
    """flat: q_ij = 1; a bias that counts as an input has share 1 too."""
    x, w, b = _f64(x, w, b)
    return [_part(np.ones((x.shape[0], *w.shape)), None if b is None else np.ones_like(b))]


def shares_direction(x, w, b=None, *, v):
    """Any search direction (equation 4): q_ij = v_i^(j) w_ij, v (i,) or (i, j)."""
    x, w, v = _f64(x, w, v)
    v = v[:, None] if v.ndim == 1 else v
    return [_part(np.broadcast_to(v * w, (x.shape[0], *w.shape)))]


# ---------------------------------------------------------------------------- redistribution


@dataclass
class Redistribution:
    """Relevance of the inputs, the account of each row, and the scale of the rounding errors.

    ``scale`` (n, k, i) is sum_j |q_ij s_j| (sum_i |q_ij| / |z_j|): what one unit of relative
    rounding error in every product can do to R_i; where z_j cancels, R_j / z_j is as uncertain as
    z_j is.
    """

    relevance: np.ndarray
    received: np.ndarray
    bias: np.ndarray
    stabiliser: np.ndarray
    lost: np.ndarray
    scale: np.ndarray

    @property
    def passed(self):
        return self.relevance.sum(axis=-1)


def quotient(relevance, z, q_bias, epsilon=0.0, limit=np.inf, smallest=0.0):
    """s_j = R_j / d_j with d_j = z_j + bias_j + epsilon sign(z_j + bias_j), sign(0) = +1.

    Returns s, the share of the stabiliser in d, and the relevance that could not be passed on
    (d_j = 0 or |d_j| below ``smallest``, or |s_j| not finite or above ``limit``), each (n, k, j).
    """
    relevance, z, q_bias = _f64(relevance, z, q_bias)
    d = z + q_bias
    push = np.where(d >= 0, epsilon, -epsilon) if epsilon > 0 else np.zeros_like(d)
    d = (d + push)[:, None, :]
    with np.errstate(all="ignore"):
        s = relevance / d
    passable = (d != 0) & (np.abs(d) >= smallest) & np.isfinite(s) & (np.abs(s) <= limit)
    return np.where(passable, s, 0.0), push, np.where(passable, 0.0, relevance)


def most_lost(dtype, inputs, outputs, factor):
    """eta (2 + inputs) (2 + outputs) (1 + factor): what rounding to subnormal numbers can take.

    Each of the products w_ij s_j has an error of at most eta / 2, the smallest number above 0, and
    their sums are multiplied by a factor |p_i|, |n_i| at most.
    """
    eta = float(np.finfo(dtype).smallest_subnormal)
    return eta * (2 + inputs) * (2 + outputs) * (1 + factor)


def redistribute(parts, relevance, epsilon=0.0, limit=np.inf):
    """R_i = sum_j q_ij s_j, summed over the parts of a rule, with the account of every row."""
    (relevance,) = _f64(relevance)
    n, k, _ = relevance.shape
    i = parts[0].q.shape[1]
    total = Redistribution(
        np.zeros((n, k, i)), relevance.sum(axis=-1), *np.zeros((3, n, k)), np.zeros((n, k, i))
    )
    for part in parts:
        share = relevance * part.fraction[:, None, :]
        s, push, lost = quotient(share, part.z, part.q_bias, epsilon, limit)
        total.relevance += (part.q[:, None] * s[:, :, None, :]).sum(axis=-1)
        total.bias += (part.q_bias[:, None, :] * s).sum(axis=-1)
        total.stabiliser += (push[:, None, :] * s).sum(axis=-1)
        total.lost += lost.sum(axis=-1)
        size = np.abs(part.q).sum(axis=1) + np.abs(part.q_bias) + np.abs(push)
        d = part.z + part.q_bias + push
        amplification = np.divide(size, np.abs(d), out=np.ones_like(d), where=d != 0)
        total.scale += (
            np.abs(part.q[:, None] * s[:, :, None, :]) * amplification[:, None, None, :]
        ).sum(axis=-1)
    return total


# ---------------------------------------------------------------------------- root points


def root_points(x, w, b, parts):
    """Nearest root of a_j along v^(j), v_i^(j) = q_ij / w_ij, as (n, i, j).

    x~_i^(j) = x_i - (a_j / sum_i v_i^(j) w_ij) v_i^(j) (equation 3). Where a_j <= 0 the neuron is
    off, R_j = 0 at x already, and the root is x itself. Where a_j > 0 and sum_i v_i w_ij = 0 there
    is no root along v: NaN.
    """
    x, w, b = _f64(x, w, b)
    (part,) = parts
    a = dense(x, w, b)[:, None, :]
    v = np.divide(part.q, w, out=np.zeros_like(part.q), where=np.broadcast_to(w != 0, part.q.shape))
    z = (v * w).sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        roots = x[:, :, None] - a / z * v
    roots = np.where(z == 0, np.nan, roots)
    return np.where(a <= 0, x[:, :, None], roots)


# ---------------------------------------------------------------------------- pools


def _groups(x, size):
    (x,) = _f64(x)
    return x.reshape(*x.shape[:-1], x.shape[-1] // size if size else 0, size)


def pool(x, size, p):
    """y = (sum_j |x_j|^p)^(1/p) over groups of ``size`` neighbours; p = inf is the maximum."""
    g = np.abs(_groups(x, size))
    if np.isinf(p):
        return g.max(axis=-1, initial=0.0)
    top = g.max(axis=-1, keepdims=True, initial=0.0)
    safe = np.where(top > 0, top, 1.0)
    return ((g / safe) ** p).sum(axis=-1) ** (1 / p) * top[..., 0]


def pool_gradient(x, size, p, g):
    """gx_j = sign(x_j) (|x_j| / y)^(p - 1) g; p = inf: the first maximum takes g; y = 0: zero.

    x (n, groups * size), g (n, k, groups).
    """
    groups, y = _groups(x, size), pool(x, size, p)
    (g,) = _f64(g)
    slope = np.zeros_like(groups)
    for n, k, j in np.ndindex(groups.shape):
        if y[n, k] == 0:
            continue
        if np.isinf(p):
            first = int(np.argmax(np.abs(groups[n, k])))
            slope[n, k, j] = np.sign(groups[n, k, j]) if j == first else 0.0
        elif groups[n, k, j] != 0:
            ratio = abs(groups[n, k, j]) / y[n, k]
            slope[n, k, j] = np.sign(groups[n, k, j]) * ratio ** (p - 1)
    out = slope[:, None] * g[..., None]
    return out.reshape(*g.shape[:2], x.shape[-1])


def pool_redistribute(x, size, relevance, winner=False):
    """R_j = |x_j| / sum |x_j'| R_k, or all to the first largest; a group of zeros loses R_k."""
    groups = np.abs(_groups(x, size))
    (relevance,) = _f64(relevance)
    share = np.zeros_like(groups)
    for n, k in np.ndindex(groups.shape[:2]):
        values = groups[n, k]
        if not values.any():
            continue
        if winner:
            share[n, k, int(np.argmax(values))] = 1.0
        else:
            values = values / values.max()
            share[n, k] = values / values.sum()
    out = (share[:, None] * relevance[..., None]).reshape(*relevance.shape[:2], x.shape[-1])
    empty = ~groups.any(axis=-1)
    lost = (relevance * empty[:, None, :]).sum(axis=-1)
    zero = np.zeros_like(lost)
    return Redistribution(out, relevance.sum(axis=-1), zero, zero, lost, np.abs(out))


# ---------------------------------------------------------------------------- images


def blocked(x, block, lead=1):
    """(*lead, channels, *pixels) -> (*lead, blocks, *pixels, block), zeros beyond the channels."""
    x = np.asarray(x)
    channels = x.shape[lead]
    blocks = -(-channels // block)
    out = np.zeros((*x.shape[:lead], blocks, *x.shape[lead + 1 :], block), x.dtype)
    for c in range(channels):
        index = (slice(None),) * lead
        out[(*index, c // block, ..., c % block)] = x[(*index, c)]
    return out


def windows(sizes, size, stride, padding, dilation, ceil=False):
    """The windows of a pool over one channel: shape of the result, and for each window (in order)
    the flat indices of its pixels inside the image and the number inside image and padding.

    All arguments have one entry for each axis; those of padding are (before, after). With ceil a
    last window may reach beyond the padding; it must begin inside the image or the padding before.
    """
    axes = []
    for n, k, s, (before, after), d in zip(sizes, size, stride, padding, dilation, strict=True):
        starts, start = [], -before
        while True:
            last = start + d * (k - 1)
            fits = last < n + after
            begins = start < n
            reaches_more = start == -before or starts[-1] + d * (k - 1) < n + after - 1
            if not (fits or (ceil and begins and reaches_more)):
                break
            starts.append(start)
            start += s
        axes.append(
            [
                (
                    [start + t * d for t in range(k) if 0 <= start + t * d < n],
                    sum(start + t * d < n + after for t in range(k)),
                )
                for start in starts
            ]
        )
    shape = tuple(map(len, axes))
    found = []
    for index in np.ndindex(shape):
        spans = [axis[i] for axis, i in zip(axes, index, strict=True)]
        grid = np.meshgrid(*(pixels for pixels, _ in spans), indexing="ij")
        pixels = np.ravel_multi_index([g.ravel().astype(int) for g in grid], sizes)
        found.append((pixels, int(np.prod([count for _, count in spans]))))
    return shape, found


def window_pool(kind, x, found, p=2.0):
    """y (rows, windows) of x (rows, pixels): max, sum, average, padded average or lp; none: 0."""
    (x,) = _f64(x)
    y = np.zeros((len(x), len(found)))
    for j, (pixels, count) in enumerate(found):
        if not len(pixels):
            continue
        part = x[:, pixels]
        y[:, j] = {
            "max": lambda part: part.max(axis=1),
            "sum": lambda part: part.sum(axis=1),
            "average": lambda part: part.sum(axis=1) / part.shape[1],
            "padded": lambda part, count=count: part.sum(axis=1) / count,
            "lp": lambda part: pool(part, part.shape[1], p)[:, 0],
        }[kind](part)
    return y


def window_weights(kind, pixels, found):
    """A sum or average pool as a dense layer: w (pixels, windows)."""
    w = np.zeros((pixels, len(found)))
    for j, (inside, count) in enumerate(found):
        if len(inside):
            w[inside, j] = {"sum": 1.0, "average": 1 / len(inside), "padded": 1 / count}[kind]
    return w


def window_gradient(kind, x, found, g, p=2.0):
    """gx (rows, k, pixels) of g (rows, k, windows): the first largest x takes the gradient of max.

    lp: sign(x) (|x| / y)^(p - 1); p = inf: sign(x) at the first largest |x|.
    """
    x, g = _f64(x, g)
    out = np.zeros((*g.shape[:2], x.shape[1]))
    for j, (pixels, count) in enumerate(found):
        for row in range(len(x)):
            part = x[row, pixels]
            if not len(pixels):
                continue
            if kind == "max":
                slope = np.zeros(len(part))
                slope[np.argmax(part)] = 1
            elif kind == "lp":
                slope = pool_gradient(part[None], len(part), p, np.ones((1, 1, 1)))[0, 0]
            else:
                divisor = {"sum": 1, "average": len(part), "padded": count}[kind]
                slope = np.full(len(part), 1 / divisor)
            out[row][:, pixels] += slope * g[row, :, j, None]
    return out


def window_choice(x, found, relevance, winner=None):
    """Maximum and p-norm pools: R_i = sum_j |x_i| / sum |x_i'| R_j over the window of j.

    winner "x" or "|x|": all to the first of the largest x (|x|). Where the denominator (for the
    winner: its value) is 0, R_j is lost.
    """
    x, relevance = _f64(x, relevance)
    out = np.zeros((*relevance.shape[:2], x.shape[1]))
    lost = np.zeros(relevance.shape[:2])
    for j, (pixels, _) in enumerate(found):
        for row in range(len(x)):
            arrived = relevance[row, :, j]
            part = np.abs(x[row, pixels]) if winner != "x" else x[row, pixels]
            share = np.zeros(len(part))
            if winner and len(part):
                share[np.argmax(part)] = part.max() != 0
            elif part.any():
                share = part / part.sum()
            out[row][:, pixels] += share * arrived[:, None]
            if not share.any():
                lost[row] += arrived
    zero = np.zeros_like(lost)
    return Redistribution(out, relevance.sum(axis=-1), zero, zero, lost, np.abs(out))


def lrn(x, size, alpha, beta, k):
    """y_c = x_c / (k + alpha / size * sum x_c'^2)^beta for x (n, channels, ...).

    c' goes from c - (size - 1) // 2 to c + size // 2.
    """
    (x,) = _f64(x)
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / size * (near**2).sum(axis=1)) ** beta
    return y


def lrn_gradient(x, size, alpha, beta, k, g):
    """gx_c = g_c d_c^-beta - 2 alpha beta / size x_c sum_c' g_c' x_c' d_c'^(-beta - 1).

    x (n, channels, ...), g (n, k, channels, ...); c' are the channels whose sum has c.
    """
    x, g = _f64(x, g)
    d = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1]
        d[:, c] = k + alpha / size * (near**2).sum(axis=1)
    out = g * (d**-beta)[:, None]
    t = g * (x * d ** (-beta - 1))[:, None]
    for c in range(x.shape[1]):
        near = t[:, :, max(0, c - size // 2) : c + (size - 1) // 2 + 1].sum(axis=2)
        out[:, :, c] -= 2 * alpha * beta / size * x[:, None, c] * near
    return out


# ---------------------------------------------------------------------------- activations


def softmax(x, axis=-1):
    """y_i = exp(x_i) / Σ_k exp(x_k) along an axis of x (n, ...)."""
    (x,) = _f64(x)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_relevance(x, relevance, axis=-1):
    """R_i = Σ_j x_i ∂y_j/∂x_i R_j / y_j for x (n, i), R (n, k, i), by the whole Jacobian.

    ∂y_j/∂x_i = y_j ([i = j] - y_i), so that y_j cancels, and R_j counts where y_j is 0.
    Axes beside `axis` (of one sample: 0, 1, ...) are many softmaxes.
    """
    x, relevance = _f64(x, relevance)
    axis %= x.ndim - 1
    x, relevance = np.moveaxis(x, axis + 1, -1), np.moveaxis(relevance, axis + 2, -1)
    y = softmax(x)
    share = np.eye(x.shape[-1]) - y[..., :, None]  # (..., i, j): ∂y_j/∂x_i / y_j
    result = x[:, None] * np.einsum("n...ij,nk...j->nk...i", share, relevance)
    return np.moveaxis(result, -1, axis + 2)


def activation(kind, x, *arguments):
    """Forward of ReLU, LeakyReLU(slope), Clip(low, high), ELU(alpha), HardSigmoid(slope, offset),
    HardSwish, Threshold(threshold, value), Tanh, Sigmoid, Softmax, Identity."""
    (x,) = _f64(x)
    if kind == "LeakyReLU":
        return np.where(x > 0, x, arguments[0] * x)
    if kind == "Clip":
        return np.minimum(np.maximum(x, arguments[0]), arguments[1])
    if kind == "ELU":
        return np.where(x > 0, x, arguments[0] * (np.exp(np.minimum(x, 0)) - 1))
    if kind == "HardSigmoid":
        return np.clip(arguments[0] * x + arguments[1], 0, 1)
    if kind == "Threshold":
        return np.where(x > arguments[0], x, arguments[1])
    if kind == "HardSwish":
        return x * np.clip(x + 3, 0, 6) / 6
    functions = {
        "ReLU": positive,
        "Tanh": np.tanh,
        "Sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
        "Softmax": softmax,
        "Identity": lambda x: x,
    }
    return functions[kind](x)


def activation_gradient(kind, x, g, *arguments):
    """gx = J^T g for x (n, i), g (n, k, i); ReLU and Clip pass nothing at the kink."""
    x, g = _f64(x, g)
    x = x[:, None, :]
    if kind == "Softmax":
        y = softmax(x)
        return y * (g - (y * g).sum(axis=-1, keepdims=True))
    slopes = {
        "ReLU": lambda: x > 0,
        "LeakyReLU": lambda: np.where(x > 0, 1.0, arguments[0]),
        "Clip": lambda: (x > arguments[0]) & (x < arguments[1]),
        "ELU": lambda: np.where(x > 0, 1.0, arguments[0] * np.exp(np.minimum(x, 0))),
        "HardSigmoid": lambda: arguments[0] * (np.abs(arguments[0] * x + arguments[1] - 0.5) < 0.5),
        "HardSwish": lambda: np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6)),
        "Threshold": lambda: x > arguments[0],
        "Tanh": lambda: 1 - np.tanh(x) ** 2,
        "Sigmoid": lambda: activation("Sigmoid", x) * (1 - activation("Sigmoid", x)),
        "Identity": lambda: np.ones_like(x),
    }
    return slopes[kind]() * g


# ---------------------------------------------------------------------------- joins and scales


def add_matrix(summands, size):
    """The sum of some values of ``size`` numbers as a dense layer: w (summands * size, size).

    Only inputs in the same place are connected, so its shares need ``only_connected``.
    """
    return np.tile(np.eye(size), (summands, 1))


def only_connected(parts, w):
    """Shares of a sparse layer: q_ij = 0 where there is no connection (w_ij = 0)."""
    for part in parts:
        part.q = np.where(w[None] != 0, part.q, 0.0)
    return parts


def add_redistribute(xs, relevance, shares, epsilon=0.0):
    """Relevance of each summand: xs a list of (n, i), relevance (n, k, i), ``shares`` of a rule."""
    xs = _f64(*xs)
    w = add_matrix(len(xs), xs[0].shape[1])
    parts = only_connected(shares(np.concatenate(xs, axis=1), w, None), w)
    result = redistribute(parts, relevance, epsilon)
    return result, np.split(result.relevance, len(xs), axis=-1)


def affine(x, scale, shift):
    """y = w_c x + b_c for x (n, c, ...)."""
    x, scale, shift = _f64(x, scale, shift)
    like = (1, -1, *[1] * (x.ndim - 2))
    return x * scale.reshape(like) + shift.reshape(like)


def batch_norm(x, mean, variance, weight, bias, epsilon):
    """y = weight_c (x - mean_c) / sqrt(variance_c + epsilon) + bias_c."""
    x, mean, variance, weight, bias = _f64(x, mean, variance, weight, bias)
    like = (1, -1, *[1] * (x.ndim - 2))
    mean, variance, weight, bias = (a.reshape(like) for a in (mean, variance, weight, bias))
    return weight * (x - mean) / np.sqrt(variance + epsilon) + bias


def affine_redistribute(x, scale, shift, relevance, shares, epsilon=0.0):
    """A scale and shift as a diagonal dense layer; x (n, c, ...), relevance (n, k, c, ...)."""
    x, scale, shift, relevance = _f64(x, scale, shift, relevance)
    pixels = int(np.prod(x.shape[2:], dtype=int))
    w, b = np.diag(np.repeat(scale, pixels)), np.repeat(shift, pixels)
    n, k = relevance.shape[:2]
    parts = shares(x.reshape(n, -1), w, b)
    for part in parts:
        part.q = part.q * np.eye(len(w))[None]
    return redistribute(parts, relevance.reshape(n, k, -1), epsilon)


def pad(x, before, after, value):
    """A frame around the last axes of x, number by number."""
    (x,) = _f64(x)
    rest = x.ndim - len(before)
    shape = [s + b + a for s, b, a in zip(x.shape[rest:], before, after, strict=True)]
    result = np.full((*x.shape[:rest], *shape), float(value))
    for place in np.ndindex(x.shape):
        moved = [p + b for p, b in zip(place[rest:], before, strict=True)]
        result[(*place[:rest], *moved)] = x[place]
    return result


def upsample(x, scale):
    """Each number ``scale`` times along the last axes."""
    (x,) = _f64(x)
    rest = x.ndim - len(scale)
    result = np.zeros(
        (*x.shape[:rest], *(s * t for s, t in zip(x.shape[rest:], scale, strict=True)))
    )
    for place in np.ndindex(result.shape):
        source = [p // t for p, t in zip(place[rest:], scale, strict=True)]
        result[place] = x[(*place[:rest], *source)]
    return result


def take(x, axis, places):
    """y_j = x_places[j] along an axis of x (n, *shape), axis 0 the one behind the batch axis."""
    (x,) = _f64(x)
    parts = [x[(slice(None),) * (axis + 1) + (slice(p, p + 1),)] for p in places]
    return np.concatenate(parts, axis=axis + 1)


def axis_map(x, weight, axis):
    """y_j = sum_i x_i w_ij along an axis of x (n, *shape)."""
    x, weight = _f64(x, weight)
    return np.moveaxis(
        np.einsum("...i,ij->...j", np.moveaxis(x, axis + 1, -1), weight), -1, axis + 1
    )


def axis_map_redistribute(x, weight, axis, relevance, shares, epsilon=0.0):
    """The same as a dense layer, built from unit inputs; relevance (n, k, *shape)."""
    x, weight, relevance = _f64(x, weight, relevance)
    n, k = relevance.shape[:2]
    units = np.eye(x[0].size).reshape(x[0].size, *x.shape[1:])
    w = axis_map(units, weight, axis).reshape(x[0].size, -1)
    parts = only_connected(shares(x.reshape(n, -1), w, None), w)
    return redistribute(parts, relevance.reshape(n, k, -1), epsilon)


# ---------------------------------------------------------------------------- networks


def network_activations(layers, x):
    """Inputs of every layer and, last, the output.

    layers: ("Dense", w, b), ("NeuronPool", size, p) or (activation, *arguments); size None pools
    all neurons.
    """
    (x,) = _f64(x)
    values = [x]
    for kind, *arguments in layers:
        x = values[-1]
        if kind == "Dense":
            values.append(dense(x, *arguments))
        elif kind == "NeuronPool":
            size, p = arguments
            values.append(pool(x, x.shape[-1] if size is None else size, p))
        else:
            values.append(activation(kind, x, *arguments))
    return values


def network_gradient(layers, x, g):
    """Gradient of sum g . output with respect to x, g (n, k, outputs)."""
    values = network_activations(layers, x)
    (g,) = _f64(g)
    for (kind, *arguments), below in zip(layers[::-1], values[-2::-1], strict=True):
        if kind == "Dense":
            g = dense_gradient(arguments[0], g)
        elif kind == "NeuronPool":
            size, p = arguments
            g = pool_gradient(below, below.shape[-1] if size is None else size, p, g)
        else:
            g = activation_gradient(kind, below, g, *arguments)
    return g


def network_redistribute(layers, x, relevance, shares, winner=False):
    """Send relevance (n, k, outputs) down the chain; activations pass it unchanged.

    ``shares``: for each dense layer, from the input up, a function (x, w, b) -> parts, or a pair of
    that and epsilon. Returns the Redistribution of every dense or pool layer, from the input up.
    """
    values = network_activations(layers, x)
    (relevance,) = _f64(relevance)
    shares, steps = list(shares), []
    for (kind, *arguments), below in zip(layers[::-1], values[-2::-1], strict=True):
        if kind == "Dense":
            rule = shares.pop()
            rule, epsilon = rule if isinstance(rule, tuple) else (rule, 0.0)
            steps.append(redistribute(rule(below, *arguments), relevance, epsilon))
        elif kind == "NeuronPool":
            size = below.shape[-1] if arguments[0] is None else arguments[0]
            steps.append(pool_redistribute(below, size, relevance, winner))
        else:
            continue
        relevance = steps[-1].relevance
    return steps[::-1]


def deep_taylor_shares(layers, domain):
    """The method's rules: z+ above, and at the input w2 ("reals"), z+ ("nonnegative") or zB (a box
    (low, high)); none has a bias in z."""

    def z_plus(x, w, b):
        return shares_z_plus(x, w)

    def first(x, w, b):
        if domain == "reals":
            return shares_w_square(x, w)
        if domain == "nonnegative":
            return shares_z_plus(x, w)
        low, high = domain
        return shares_z_box(x, w, low=low, high=high)

    dense_layers = sum(kind == "Dense" for kind, *_ in layers)
    return [first] + [z_plus] * (dense_layers - 1)


# ---------------------------------------------------------------------------- graphs


def graph_values(nodes, inputs):
    """All values of a graph: its inputs, each (n, i), then the output of every node.

    nodes: (kind, sources, *arguments), sources the numbers of values; "Add", "Concat" (features),
    "Affine" with scale and shift, or a kind of ``network_activations``.
    """
    values = _f64(*inputs)
    for kind, sources, *arguments in nodes:
        xs = [values[source] for source in sources]
        if kind == "Add":
            values.append(sum(xs))
        elif kind == "Concat":
            values.append(np.concatenate(xs, axis=1))
        elif kind == "Affine":
            values.append(affine(xs[0], *arguments))
        else:
            values.append(network_activations([(kind, *arguments)], xs[0])[-1])
    return values


def _back(nodes, inputs, start, output, send):
    """Signals at all values; send(number, kind, xs, arguments, signal) gives those of a node's
    sources."""
    values = graph_values(nodes, inputs)
    m = len(inputs)
    (start,) = _f64(start)
    signals = [np.zeros((*start.shape[:2], value.shape[1])) for value in values]
    signals[output] = start
    for number in range(len(nodes) - 1, -1, -1):
        kind, sources, *arguments = nodes[number]
        xs = [values[source] for source in sources]
        parts = send(number, kind, xs, arguments, signals[m + number])
        for source, part in zip(sources, parts, strict=True):
            signals[source] = signals[source] + part
    return signals


def graph_gradient(nodes, inputs, g, output):
    """Gradients of sum g . value[output] with respect to all values."""

    def send(number, kind, xs, arguments, g):
        if kind == "Add":
            return [g] * len(xs)
        if kind == "Concat":
            return np.split(g, np.cumsum([x.shape[1] for x in xs])[:-1], axis=-1)
        if kind == "Affine":
            return [g * np.asarray(arguments[0], np.float64)]
        return [network_gradient([(kind, *arguments)], xs[0], g)]

    return _back(nodes, inputs, g, output, send)


def graph_redistribute(nodes, inputs, relevance, output, rules):
    """Relevance of all values, and a Redistribution for each node that keeps an account.

    rules: for each node None, or (shares, epsilon) for Dense, Add and Affine.
    """
    entries = {}

    def send(number, kind, xs, arguments, relevance):
        if kind == "Add":
            shares, epsilon = rules[number]
            entries[number], parts = add_redistribute(xs, relevance, shares, epsilon)
            return parts
        if kind == "Concat":
            return np.split(relevance, np.cumsum([x.shape[1] for x in xs])[:-1], axis=-1)
        if kind == "Affine":
            shares, epsilon = rules[number]
            step = affine_redistribute(xs[0], *arguments, relevance, shares, epsilon)
        elif kind == "Dense":
            shares, epsilon = rules[number]
            step = redistribute(shares(xs[0], *arguments), relevance, epsilon)
        elif kind == "NeuronPool":
            size = xs[0].shape[-1] if arguments[0] is None else arguments[0]
            step = pool_redistribute(xs[0], size, relevance)
        else:
            return [relevance]
        entries[number] = step
        return [step.relevance]

    return _back(nodes, inputs, relevance, output, send), entries


# ---------------------------------------------------------------------------- min-max model


def minmax_forward(x, R_l, v, u, d, size):
    """a_j = min(0, sum_l R_l u_lj + d_j), y_j = max(0, sum_i x_i v_ij + a_j), R_k = sum_group y_j.

    x (n, i), R_l (n, l), v (i, j), u (l, j), d (j,). Returns a, y (n, j) and the prediction
    (n, j / size).
    """
    a = negative(dense(R_l, u, d))
    y = positive(dense(x, v) + a)
    return a, y, _groups(y, size).sum(axis=-1)


def minmax_loss(x, R_l, R_k, v, u, d, size, conservation=0.0):
    """The mean over samples and k of e_k^2, plus a term for the conservation of their sum.

    e_k = prediction_k - R_k; the second term is the mean over samples of (sum_k e_k)^2 / (number of
    k), times ``conservation``.
    """
    error = minmax_forward(x, R_l, v, u, d, size)[2] - _f64(R_k)[0]
    sums = error.sum(axis=1)
    return np.mean(error**2) + conservation * np.mean(sums**2) / error.shape[1]


def minmax_gradient(x, R_l, R_k, v, u, d, size, conservation=0.0):
    """Gradient of the loss by v, u and d."""
    _, y, predicted = minmax_forward(x, R_l, v, u, d, size)
    error = 2 * (predicted - _f64(R_k)[0]) / predicted.size
    error = error + conservation * error.sum(axis=1, keepdims=True)
    g = np.repeat(error, size, axis=1) * (y > 0)
    below = g * (dense(R_l, u, d) <= 0)
    return dense_weight_gradient(x, g)[0], *dense_weight_gradient(R_l, below)


def minmax_redistribute(layers, models, x, relevance, shares):
    """Send relevance (n, k, outputs) down a chain of detection-pooling layers.

    ``models``: (v, u, d) for each dense layer but the last, from the input up; ``shares`` as for
    network_redistribute, and the rule of a layer with a model takes v for w. Returns from the input
    up, for each dense or pool layer, the Redistribution and what was not predicted there (n, k).
    """
    values = network_activations(layers, x)
    (relevance,) = _f64(relevance)
    n, k, _ = relevance.shape
    models, shares, steps = [*models, None], list(shares), []
    upper, waiting = None, None  # R_l, and relevance that waits at a pool for the model below it
    for (kind, *arguments), below in zip(layers[::-1], values[-2::-1], strict=True):
        size = None
        if kind == "NeuronPool":
            size = below.shape[-1] if arguments[0] is None else arguments[0]
        if kind == "NeuronPool" and models[-1] is not None:
            waiting = size
        elif kind == "NeuronPool":
            steps.append((pool_redistribute(below, size, relevance), np.zeros((n, k))))
            relevance = steps[-1][0].relevance
        elif kind == "Dense":
            model, rule = models.pop(), shares.pop()
            w, missed = arguments[0], np.zeros((n, k))
            received = relevance.sum(axis=-1)
            if model is not None:
                w, u, d = model
                y = np.stack(
                    [
                        minmax_forward(below, upper[:, t], w, u, d, waiting or 1)[1]
                        for t in range(k)
                    ],
                    axis=1,
                )
                missed, relevance = received - y.sum(axis=-1), y
                if waiting is not None:
                    zero = np.zeros((n, k))
                    pooled = Redistribution(y, received, zero, zero, zero, np.abs(y))
                    steps.append((pooled, missed))
                    received, missed = y.sum(axis=-1), np.zeros((n, k))
            upper, waiting = relevance, None
            result = redistribute(rule(below, w, None), relevance)
            result.received = received
            steps.append((result, missed))
            relevance = result.relevance
    return steps[::-1]


# ---------------------------------------------------------------------------- the stated bounds

FLOAT32_CONSTANT = 1.0


def tolerance(dtype, *terms):
    """Largest error of sums of ``terms`` products, as a fraction of the sum of absolute values.

    float64: 1e-12. float32: 2^-23 * (4 + sum of sqrt(terms)), the 4 for the roundings of a quotient
    and of rounded coefficients.
    """
    if np.dtype(dtype) == np.float64:
        return 1e-12
    return FLOAT32_CONSTANT * 2.0**-23 * (4 + sum(np.sqrt(terms)))
