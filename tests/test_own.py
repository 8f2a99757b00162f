# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers and rules that users write: they run in networks, and what they lack is said."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import dtdcore as dtd


class Mish(dtd.Layer):
    """As the docstring of `Layer` has it, and its gradient."""

    def forward(self, x):
        return x * np.tanh(np.log1p(np.exp(x)))

    def redistribute(self, x, relevance, rule):
        return relevance

    def gradient(self, x, gradient):
        t = np.tanh(np.log1p(np.exp(x)))
        return gradient * (t + x * (1 - t * t) / (1 + np.exp(-x)))


class MyDense(dtd.Layer):
    """z⁺ in NumPy, another shape of outputs, a rule."""

    takes_rule = True

    def __init__(self, weight):  # does not call Layer.__init__
        self.weight = weight

    def arrays(self):
        return {"weight": self.weight}

    def output_shape(self, input_shape):
        return (self.weight.shape[1],)

    def forward(self, x):
        return x @ self.weight

    def redistribute(self, x, relevance, rule):
        assert rule == dtd.ZPlus()
        z = x @ np.maximum(self.weight, 0)
        s = np.divide(relevance, z, out=np.zeros_like(z), where=z != 0)
        return x * (s @ np.maximum(self.weight, 0).T)


class Mean(dtd.Layer):
    """The mean of several values; half of the relevance goes astray."""

    joins = True

    def forward(self, xs):
        return sum(xs) / len(xs)

    def redistribute(self, xs, relevance, rule):
        return tuple(relevance / 2 / len(xs) for _ in xs)


def weights(rng, dtype):
    return [rng.standard_normal(shape).astype(dtype) for shape in ((6, 5), (5, 4))]


def test_an_activation(dtype, rng):
    """Between dense layers; by hand from the rule of the layers around it."""
    first, last = weights(rng, dtype)
    network = dtd.Network([dtd.Dense(first), ("mish", Mish()), dtd.Dense(last)])
    x = rng.random((3, 6)).astype(dtype)
    h = Mish().forward(x @ first)
    np.testing.assert_allclose(network.forward(x), h @ last, rtol=1e-5)
    explain = dtd.LRP(network, dtd.Z())
    explanation = explain(x, [[0, 3]] * 3)
    for k, target in enumerate((0, 3)):
        r = h * last[:, target]
        wanted = x * ((r / (x @ first)) @ first.T)
        np.testing.assert_allclose(explanation.relevance[:, k], wanted, rtol=2e-3, atol=1e-4)
    entry = explanation.audit["mish"]
    assert (entry.lost == 0).all()
    np.testing.assert_allclose(entry.received, entry.passed, rtol=1e-6)
    assert explanation.audit.closes()
    assert explanation.relevance.dtype == dtype
    one = dtd.LRP(network, dtd.Z(), max_memory=10_000)(x, [[0, 3]] * 3)
    assert (one.relevance == explanation.relevance).all()
    hidden = explain(x, 2, node="mish")
    np.testing.assert_allclose(hidden.explained, h[:, 2], rtol=1e-6)


def test_gradients(dtype, rng):
    first, last = weights(rng, np.float64)
    network = dtd.Network([dtd.Dense(first), Mish(), dtd.Dense(last)])
    x, step = rng.random((2, 6)), 1e-6
    found = network.gradient(x, 1)
    for p in range(6):
        d = np.zeros(6)
        d[p] = step
        slope = (network.forward(x + d) - network.forward(x - d))[:, 1] / (2 * step)
        np.testing.assert_allclose(found[:, p], slope, rtol=1e-5, atol=1e-8)
    assert dtd.GradientTimesInput(network)(x.astype(dtype), 1).relevance.dtype == dtype


def test_a_layer_with_a_rule_is_that_of_the_core(dtype, rng):
    first, last = weights(rng, dtype)
    own = dtd.Network([("own", MyDense(first)), dtd.ReLU(), dtd.Dense(last)], (6,))
    ours = dtd.Network([("own", dtd.Dense(first)), dtd.ReLU(), dtd.Dense(last)])
    assert own.dtype == dtype
    x = rng.random((4, 6)).astype(dtype)
    explain = dtd.DeepTaylor(own, dtd.NonNegative())
    assert "ZPlus" in explain.summary()
    for target in (2, [[0, 1, 2]] * 4):
        found, wanted = explain(x, target), dtd.DeepTaylor(ours, dtd.NonNegative())(x, target)
        np.testing.assert_allclose(found.relevance, wanted.relevance, rtol=1e-4, atol=1e-6)
        for part in ("received", "passed", "lost"):
            np.testing.assert_allclose(
                getattr(found.audit["own"], part),
                getattr(wanted.audit["own"], part),
                rtol=1e-4,
                atol=1e-5,
            )
    copied = pickle.loads(pickle.dumps(own))
    assert (copied.forward(x) == own.forward(x)).all()


def test_several_inputs_and_images(dtype, rng):
    """On images that the core has in blocks; what is not passed on is booked as lost."""
    w = rng.standard_normal((3, 2, 3, 3)).astype(dtype)
    network = dtd.Network(
        [
            ("a", dtd.Conv(w)),
            ("b", dtd.Conv(-w), "input"),
            ("mean", Mean(), ["a", "b"]),
            ("mish", Mish()),
            ("flat", dtd.Flatten()),
        ],
        (2, 5, 5),
    )
    x = rng.random((2, 2, 5, 5)).astype(dtype)
    relevance = rng.random((2, 27)).astype(dtype)
    explanation = dtd.LRP(network, dtd.Flat())(x, relevance=relevance)
    entry = explanation.audit["mean"]
    np.testing.assert_allclose(entry.received, relevance.sum(1), rtol=1e-5)
    np.testing.assert_allclose(entry.passed, relevance.sum(1) / 2, rtol=1e-5)
    np.testing.assert_allclose(entry.lost, relevance.sum(1) / 2, rtol=1e-5)
    assert explanation.audit.closes()
    with pytest.raises(dtd.ConservationError, match="layer mean"):
        dtd.LRP(network, dtd.Flat(), strict=True)(x, relevance=relevance)


def test_what_a_layer_lacks_is_said(rng):
    class Nothing(dtd.Layer):
        pass

    class OnlyBack(dtd.Layer):
        def redistribute(self, x, relevance, rule):
            return relevance

    class OnlyForward(dtd.Layer):
        def forward(self, x):
            return 2 * x

    class MyReLU(dtd.ReLU):
        def forward(self, x):
            return np.abs(x)

    dense, x = dtd.Dense(rng.random((3, 2))), rng.random((1, 3))
    for layer in (Nothing(), OnlyBack()):
        name = type(layer).__name__
        said = rf"class {name}, a dtdcore.Layer, lacks forward\(x\): the outputs \(n, \*output sh"
        with pytest.raises(TypeError, match=said):
            dtd.Network([dense, layer])
        with pytest.raises(TypeError, match=said):
            layer.forward(x)
    network = dtd.Network([dense, ("twice", OnlyForward())])
    np.testing.assert_allclose(network.forward(x), 2 * dense.forward(x))
    for make in (lambda: dtd.LRP(network), lambda: dtd.DeepTaylor(network)):
        with pytest.raises(
            TypeError, match=r"^layer twice: .*OnlyForward.* lacks redistribute\(x, r"
        ):
            make()
    with pytest.raises(TypeError, match=r"OnlyForward.* lacks redistribute\(x, relevance, rule\)"):
        OnlyForward().redistribute(x, x)
    with pytest.raises(TypeError, match=r"^layer twice: .* lacks gradient\(x, gradient\)"):
        dtd.Sensitivity(network)(x, 0)
    with pytest.raises(TypeError, match=r"MyReLU.forward would not be called: .* dtdcore.Layer"):
        dtd.Network([dense, MyReLU()])
    with pytest.raises(TypeError, match=r"class Somewhere, a dtdcore.Domain, lacks bounds\(shape"):
        type("Somewhere", (dtd.Domain,), {})().contains(x)


@pytest.mark.parametrize(
    ("forward", "redistribute", "said"),
    [
        (
            lambda x: x[:, :2],
            None,
            r"Own.forward gave must have shape \(4, 3\), got \(4, 2\).*outp",
        ),
        (lambda x: None, None, r"Own.forward gave is missing \(None\)"),
        (lambda x: x + 1j, None, "Own.forward gave must hold real numbers"),
        (lambda x: x * np.nan, None, r"Own.forward gave\[0, 0\] = nan is not finite"),
        (lambda x: x, lambda x, r: r[:1], r"Own.redistribute gave must have shape \(4, 3\), got"),
        (lambda x: x, lambda x, r: r / 0, r"Own.redistribute gave.* is not finite"),
        (lambda x: np.multiply(x, 2, out=x), None, "read-only"),
        (lambda x: x, lambda x, r: np.multiply(r, 2, out=r), "read-only"),
    ],
)
def test_what_a_layer_gives_is_checked(forward, redistribute, said, rng):
    """The error names the layer, the method and what was expected; nothing of others is changed."""
    methods = {"forward": lambda self, x: forward(x)}
    methods["redistribute"] = lambda self, x, r, rule: (
        r if redistribute is None else redistribute(x, r)
    )
    own = type("Own", (dtd.Layer,), methods)
    network = dtd.Network([("own", own()), dtd.Dense(rng.random((3, 2)))])
    x = rng.random((4, 3))
    given = x.copy()
    with pytest.raises((ValueError, TypeError), match=f"^layer own: .*{said}"):
        dtd.LRP(network)(x, 0)
    assert (x == given).all()


def test_several_inputs_need_as_many_results(rng):
    class Short(Mean):
        def redistribute(self, xs, relevance, rule):
            return (relevance,)

    network = dtd.Network([("m", Short(), ["a", "b"])], {"a": (2,), "b": (2,)})
    x = {"a": rng.random((1, 2)), "b": rng.random((1, 2))}
    with pytest.raises(
        TypeError, match=r"^layer m: Short.redistribute must .* each of the 2 inputs"
    ):
        dtd.LRP(network)(x, 0)
    with pytest.raises(
        ValueError, match=r"layer m: Short\(\) takes inputs of one shape, got \(2,\)"
    ):
        dtd.Network([("m", Short(), ["a", "b"])], {"a": (2,), "b": (3,)})


def test_results_share_no_memory_with_a_layer(rng):
    class Constant(dtd.Layer):
        kept = np.ones((1, 3))

        def forward(self, x):
            return self.kept

        def redistribute(self, x, relevance, rule):
            return self.kept

    network = dtd.Network([Constant()], (3,))
    explanation = dtd.LRP(network)(rng.random((1, 3)), 0)
    for array in (explanation.output, explanation.relevance, network.forward(np.ones((1, 3)))):
        assert not np.shares_memory(array, Constant.kept)
        array[:] = 7
    assert (Constant.kept == 1).all()


def test_saved_networks_name_the_class(tmp_path, rng):
    """No code is kept: loading says which class of which module is needed."""
    path = dtd.Network([dtd.Dense(rng.random((3, 2))), ("act", Mish())]).save(tmp_path / "net")
    with pytest.raises(
        ValueError, match=rf"class Mish of the module {Mish.__module__} for its .* act"
    ):
        dtd.load(path)
    other = type("ReLU", (dtd.Layer,), {"forward": lambda self, x: x, "__module__": "elsewhere"})
    path = dtd.Network([dtd.Dense(rng.random((3, 2))), other()]).save(tmp_path / "other")
    with pytest.raises(ValueError, match="class ReLU of the module elsewhere"):
        dtd.load(path)


@pytest.mark.parametrize(("documented", "name"), [(dtd.Layer, "Mish"), (dtd.Term, "Twice")])
def test_examples_of_docstrings_run(documented, name, rng):
    example = inspect.getdoc(documented).partition("Parameters")[0].partition("Gradients")[0]
    lines = example.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(("    from", "    class")))
    names = {"dtd": dtd, "np": np, "__name__": __name__}
    exec("\n".join(line[4:] for line in lines[begin:]), names)
    made, x = names[name](), rng.random((2, 3))
    if isinstance(made, dtd.Rule):
        assert made == names[name]()
        dtd.Dense(rng.random((3, 2))).redistribute(x, x[:, :2], made)
    else:
        np.testing.assert_allclose(made.forward(x), Mish().forward(x))
        dtd.LRP(dtd.Network([made, dtd.Dense(rng.random((3, 2)))]))(x, 0)


# ------------------------------------------------------------------- rules


@dataclass(frozen=True)
class Twice(dtd.Rule):
    """As the docstring of `Term` has it: the γ-rule with γ = 1."""

    bias: bool = True

    def terms(self):
        return (dtd.Term(2, 2, 1, 1),)


class Signs(dtd.Rule):
    """Generalised γ with γ = 1, written as two terms; no dataclass."""

    bias = True

    def terms(self):
        return [dtd.Term(2, 1, 1, 2), dtd.Term(1, 2, 2, 1)]

    def shares(self, relevance, a, z):
        return [relevance * (a > 0)[:, None], relevance * (a < 0)[:, None]]


@pytest.mark.parametrize(
    ("own", "ours"), [(Twice(), dtd.Gamma(1)), (Signs(), dtd.GeneralizedGamma(1))], ids=str
)
def test_own_rules_on_every_layer(own, ours, dtype, rng):
    w = rng.standard_normal((3, 2, 3)).astype(dtype)
    b = rng.standard_normal(3).astype(dtype)
    network = dtd.Network(
        [
            ("conv", dtd.Conv(w, b)),
            ("pool", dtd.AvgPool(2, 1)),
            ("tanh", dtd.Tanh()),
            ("scale", dtd.ChannelAffine([2.0, -1.0, 0.5], [1.0, 0.0, -1.0])),
            ("sum", dtd.Add(), ["scale", "tanh"]),
            ("flat", dtd.Flatten()),
            ("dense", dtd.Dense(rng.standard_normal((15, 2)).astype(dtype))),
        ],
        (2, 8),
    )
    x = rng.standard_normal((3, 2, 8)).astype(dtype)
    found, wanted = dtd.LRP(network, own)(x, [[0, 1]] * 3), dtd.LRP(network, ours)(x, [[0, 1]] * 3)
    assert (found.relevance == wanted.relevance).all()
    assert type(own).__name__ in dtd.LRP(network, own).summary()
    layer = dtd.Dense(rng.random((3, 2)))
    x, r = rng.standard_normal((2, 3)), rng.random((2, 2))
    assert (layer.redistribute(x, r, own) == layer.redistribute(x, r, ours)).all()


def test_bounds_and_a_stabiliser(rng):
    @dataclass(frozen=True)
    class Boxed(dtd.Rule):
        epsilon: float = 0.5

        def terms(self):
            return (dtd.Term(1, 1, 1, 1, [-1.0, 0, 0], [1.0, 2, 3]),)

    w, x, r = rng.standard_normal((3, 2)), rng.random((4, 3)), rng.random((4, 2))
    low, high = np.array([-1.0, 0, 0]), np.array([1.0, 2, 3])
    q = (x - low)[..., None] * np.maximum(w, 0) + (x - high)[..., None] * np.minimum(w, 0)
    wanted = (q * (r / (q.sum(1) + 0.5))[:, None]).sum(2)  # every z is above 0
    np.testing.assert_allclose(dtd.Dense(w).redistribute(x, r, Boxed()), wanted)


def rule(**results):
    """A rule whose methods give these results."""
    methods = {name: lambda *_, name=name: results[name] for name in results}
    return type("Mine", (dtd.Rule,), methods)()


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (
            rule(),
            r"class Mine, a dtdcore.Rule, lacks terms\(\): its q_ij, as a tuple of dtdcore.Term",
        ),
        (
            rule(terms=dtd.Term(1, 1, 1, 1)),
            r"Mine.terms\(\) must give a tuple of dtdcore.Term, got",
        ),
        (rule(terms=()), r"Mine.terms\(\) must give a tuple of dtdcore.Term, got \(\)"),
        (rule(terms=(1,)), r"Mine.terms\(\) must give a tuple of dtdcore.Term, got 1 in it"),
        (rule(terms=(dtd.Term(1, np.nan, 1, 1),)), r"a number of Mine.terms\(\) must be finite"),
        (rule(terms=(dtd.Term(1, "2", 1, 1),)), r"a number of Mine.terms\(\) must be a number"),
        (rule(terms=(dtd.Term(1, 1, 1, 1, 0.0),)), r"Mine.terms\(\): a Term has low and high, or"),
        (
            rule(terms=(dtd.Term(1, 1, 1, 1),) * 2),
            r"lacks shares\(relevance, a, z\): the part of R_j",
        ),
        (
            rule(terms=(dtd.Term(1, 1, 1, 1),) * 2, shares=[1]),
            "Mine.shares must give a list of 2 arr",
        ),
        (
            rule(terms=(dtd.Term(1, 1, 1, 1),) * 2, shares=[1, 2]),
            "Mine.shares must give arrays of sh",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["dense", "conv", "sum", "pool", "scale"])
def test_what_a_rule_lacks_is_said(mine, said, kind, rng):
    layers = {
        "dense": dtd.Dense(rng.random((2, 2))),
        "conv": dtd.Conv(rng.random((2, 2, 1))),
        "sum": dtd.Add(),
        "pool": dtd.AvgPool(1, 2),
        "scale": dtd.ChannelAffine([1.0, 2.0]),
    }
    layer = layers[kind]
    x = rng.random((1, 2) if kind == "dense" else (1, 2, 3))
    x = [x, x] if layer.joins else x
    with pytest.raises((ValueError, TypeError), match=said):
        layer.redistribute(x, layer.forward(x), mine)


def test_rules_need_a_hash_value(rng):
    @dataclass
    class Loose(dtd.Rule):
        gamma: float = 1.0

        def terms(self):
            return (dtd.Term(1 + self.gamma, 1 + self.gamma, 1, 1),)

    with pytest.raises(
        TypeError, match=r"dense_1: .*Loose.*write @dataclass\(frozen=True\) above class"
    ):
        dtd.LRP(dtd.Network([dtd.Dense(rng.random((3, 2)))]), Loose())
