# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Products of a value with constants of any number of axes, as dense layers and convolutions."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

import numpy as np

from dtdcore.importers.building import Builder, reshaped, times_matrix, transposed
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import reduced
from dtdcore.layers import Conv, Dense


def contracted(
    call: Builder, x: Signal, own: str, weight: np.ndarray, given: str, result: str
) -> Signal:
    """Einstein's sum of a value and a constant: y_result = Σ x_own w_given.

    Each letter names an axis of a sample, of the constant, or of both; those that are not in
    `result` are summed over. Axes that all three have are groups of a convolution.
    """
    _check_letters(x, own, weight, given, result)
    for letter in set(own) - set(given) - set(result):
        x = reduced(call, x, "sum", [own.index(letter)], False)
        own = own.replace(letter, "")
    for letter in set(given) - set(own) - set(result):
        weight, given = weight.sum(given.index(letter)), given.replace(letter, "")
    size = dict(zip(own + given, (*x.shape, *weight.shape), strict=True))
    groups = [letter for letter in own if letter in given and letter in result]
    summed = [letter for letter in own if letter in given and letter not in result]
    kept = [letter for letter in own if letter not in given]
    made = [letter for letter in given if letter not in own]
    weight = weight.transpose([given.index(letter) for letter in (*groups, *made, *summed)])
    many, outputs, inputs, rest = (
        math.prod(size[letter] for letter in part) for part in (groups, made, summed, kept)
    )
    x = transposed(call, x, [own.index(letter) for letter in (*groups, *summed, *kept)])
    if not groups and not kept:
        y = call.emit(Dense(weight.reshape(outputs, inputs).T), reshaped(call, x, (inputs,)))
    else:
        kernel = weight.reshape(many * outputs, inputs, 1)
        x = reshaped(call, x, (many * inputs, rest))
        y = call.emit(Conv(kernel, groups=many), x)
    order = [*groups, *made, *kept]
    y = reshaped(call, y, tuple(size[letter] for letter in order))
    return transposed(call, y, [order.index(letter) for letter in result])


def _check_letters(x: Signal, own: str, weight: np.ndarray, given: str, result: str) -> None:
    size = dict(zip(own, x.shape, strict=True))
    fits = all(size.get(a, s) == s for a, s in zip(given, weight.shape, strict=True))
    repeated = any(len(set(part)) < len(part) for part in (own, given, result))
    if repeated or not fits or set(result) - set(own) - set(given):
        raise ValueError(
            f"{own},{given}->{result} of {('n', *x.shape)} and a constant of shape {weight.shape} "
            "is not supported"
        )


def einstein(call: Builder, equation: str, operands: Sequence[Signal | np.ndarray]) -> Signal:
    """einsum(equation, operands) where one operand depends on the input, its batch axis first."""
    signals = [operand for operand in operands if isinstance(operand, Signal)]
    if len(signals) != 1:
        raise ValueError("all but one of its operands must be constants")
    (x,) = signals
    parts, result = _letters(equation, operands)
    place = next(i for i, operand in enumerate(operands) if operand is x)
    own = parts.pop(place)
    constants = [operand for operand in operands if operand is not x]
    first = own[0]
    if any(first in part for part in parts) or result[:1] != first:
        raise ValueError(f"{equation} does not keep the batch axis in front")
    own, result = own[1:], result[1:]
    if not constants:
        if set(result) - set(own) or len(set(own)) < len(own):
            raise ValueError(f"{equation} is not supported")
        over = [place for place, letter in enumerate(own) if letter not in result]
        y = reduced(call, x, "sum", over, False) if over else x
        rest = [letter for letter in own if letter in result]
        return transposed(call, y, [rest.index(letter) for letter in result])
    given = "".join(dict.fromkeys("".join(parts)))
    weight = constants[0]
    if len(constants) > 1 or parts[0] != given:
        weight = np.einsum(f"{','.join(parts)}->{given}", *constants)
    return contracted(call, x, own, weight, given, result)


def _letters(equation: str, operands: Sequence[Signal | np.ndarray]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; an ellipsis becomes capitals or others."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise ValueError(f"{equation} is not of {len(operands)} operands")
    if not arrow:
        letters = sorted(letter for letter in set(left) - set(".,") if left.count(letter) == 1)
        result = ("..." if "..." in left else "") + "".join(letters)
    spare = [letter for letter in string.ascii_letters if letter not in equation]
    sizes = [len(o.shape) + isinstance(o, Signal) for o in operands]
    counts = [
        size - len(part.replace("...", "")) if "..." in part else 0
        for part, size in zip(parts, sizes, strict=True)
    ]
    wide = spare[: max(counts)]
    filled = [
        part.replace("...", "".join(wide[len(wide) - count :]))
        for part, count in zip(parts, counts, strict=True)
    ]
    if any(len(part) != size for part, size in zip(filled, sizes, strict=True)):
        raise ValueError(f"{equation} does not fit its operands")
    return filled, result.replace("...", "".join(wide))


def product(call: Builder, x: Signal, constant: np.ndarray, left: bool) -> Signal:
    """x W, or (left) W x, of the last axes as matrices, the others broadcast.

    A vector stands for a matrix of one column (behind x) or of one row (before it).
    """
    rank, axes = len(x.shape), constant.ndim
    if not left and axes == 2:
        return times_matrix(call, x, constant)
    names = string.ascii_letters
    if axes == 1:  # a sum over the last axis, or the last but one
        own = names[:rank]
        if not left or rank > 1:
            summed = own[-1] if not left else own[-2]
            return contracted(call, x, own, constant, summed, own.replace(summed, ""))
        raise ValueError("the product of two vectors mixes the batch axis with others")
    if rank < 2:
        raise ValueError(f"a constant with {axes} axes times a value with {rank + 1} is not one")
    lead = names[: max(rank, axes) - 2]
    own, given = (lead[len(lead) - (number - 2) :] for number in (rank, axes))
    if set(given) - set(own):
        raise ValueError(f"a constant with {axes} axes beside the batch axis mixes samples")
    # axes of the size 1 are those of the other
    wide = [i for i, letter in enumerate(given) if constant.shape[i] > 1]
    constant = constant.reshape(*(constant.shape[i] for i in wide), *constant.shape[-2:])
    size = {letter: constant.shape[at] for at, letter in enumerate(given[i] for i in wide)}
    single = [at for at, letter in enumerate(own) if x.shape[at] == 1 and size.get(letter, 1) > 1]
    x = reshaped(call, x, tuple(s for at, s in enumerate(x.shape) if at not in single))
    given = "".join(given[i] for i in wide)
    kept = "".join(letter for at, letter in enumerate(own) if at not in single)
    row, inner, column = "XYZ"
    own_axes, given_axes = (inner + column, row + inner) if left else (row + inner, inner + column)
    return contracted(call, x, kept + own_axes, constant, given + given_axes, own + row + column)
