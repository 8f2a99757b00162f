# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Errors: every argument, wrong in kind, shape or value, is named before any work is done."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd

W, B = np.ones((3, 2)), np.zeros(2)
X, R = np.ones((4, 3)), np.ones((4, 2))


def net():
    return dtd.Network([dtd.Dense(W, B), dtd.ReLU()])


def named(name):
    """The argument's name as a word of its own, also as the start of name[0, 1] = nan."""
    return rf"(?<!\w){name}(?!\w)"


# ------------------------------------------------------------------- inputs of everything

CALLS = {
    "layer.forward": lambda x: dtd.Dense(W).forward(x),
    "layer.redistribute": lambda x: dtd.Dense(W).redistribute(x, R, dtd.ZPlus()),
    "layer.gradient": lambda x: dtd.Dense(W).gradient(x, R),
    "network.forward": lambda x: net().forward(x),
    "network.gradient": lambda x: net().gradient(x),
    "DeepTaylor": dtd.DeepTaylor(net()),
    "LRP": dtd.LRP(net()),
    "Sensitivity": dtd.Sensitivity(net()),
    "GradientTimesInput": dtd.GradientTimesInput(net()),
    "IntegratedGradients": dtd.IntegratedGradients(net()),
    "SmoothGrad": dtd.SmoothGrad(net()),
    "Taylor": dtd.Taylor(net(), root=np.zeros(3)),
    "root_points": lambda x: dtd.WSquare().root_points(x, dtd.Dense(W)),
}


def with_value(value, dtype=float):
    x = np.ones((4, 3), dtype)
    x[2, 1] = value
    return x


BAD_INPUTS = [
    (np.ones(3), ValueError),
    (np.ones((4, 2)), ValueError),
    (np.ones((4, 1, 3)), ValueError),
    (np.float64(1.0), ValueError),
    (with_value(np.nan), ValueError),
    (with_value(np.inf), ValueError),
    (with_value(-np.inf, np.float32), ValueError),
    (np.ones((4, 3), complex), TypeError),
    (np.array([["a", "b", "c"]]), TypeError),
    (np.full((4, 3), None), TypeError),
    ("x", TypeError),
    (None, TypeError),
    (np.ones((4, 3), "datetime64[s]"), TypeError),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("x", "error"), BAD_INPUTS, ids=lambda v: str(v).split("\n")[0][:30])
def test_bad_inputs(call, x, error):
    with pytest.raises(error, match=named("x")):
        CALLS[call](x)


def test_the_message_says_where_and_what():
    with pytest.raises(ValueError, match=r"x\[2, 1\].*nan"):
        dtd.DeepTaylor(net())(with_value(np.nan))
    with pytest.raises(ValueError, match=r"\(n, 3\).*\(4, 2\)"):
        net().forward(np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"x\[None\]"):  # one sample without the batch axis
        net().forward(np.ones(3))
    with pytest.raises(TypeError, match="complex128"):
        net().forward(np.ones((4, 3), complex))


def test_ragged_lists_are_refused():
    with pytest.raises((TypeError, ValueError), match=named("x")):
        net().forward([[1.0, 2.0, 3.0], [1.0]])


def test_numbers_too_large_for_float32_are_not_silent():
    """float64 weights that float32 cannot hold, met by float32 inputs."""
    network = dtd.Network([dtd.Dense(np.array([[1e300]]))])
    x = np.ones((1, 1), np.float32)
    with np.errstate(over="ignore"), pytest.raises((ValueError, FloatingPointError)):
        network.forward(x)
    with np.errstate(over="ignore"), pytest.raises((ValueError, FloatingPointError)):
        dtd.LRP(network, dtd.WSquare())(x)


def test_a_forward_pass_that_overflows_is_not_silent():
    """Finite inputs and weights whose product is not: an error, or an account that closes."""
    network = dtd.Network([dtd.Dense(np.full((2, 1), 1e30, np.float32))])
    x = np.full((1, 2), 1e30, np.float32)
    with np.errstate(all="ignore"):
        try:
            explanation = dtd.LRP(network, dtd.ZPlus())(x, relevance=np.ones((1, 1)))
        except (FloatingPointError, ValueError) as error:
            assert "dense_1" in str(error) or "overflow" in str(error)
        else:
            assert np.isfinite(explanation.relevance).all()
            assert explanation.audit.closes()


def test_an_output_that_overflows_names_the_layer():
    network = dtd.Network(
        [
            ("low", dtd.Dense(np.eye(2, dtype=np.float32))),
            ("high", dtd.Dense(np.full((2, 1), 1e30, np.float32))),
            dtd.ReLU(),
        ]
    )
    x = np.full((1, 2), 1e30, np.float32)
    for call in (network.forward, network.gradient, dtd.DeepTaylor(network), dtd.LRP(network)):
        with pytest.raises(FloatingPointError, match="layer high"):
            call(x)
    with pytest.raises(FloatingPointError, match="Dense"):
        network.layers[1].forward(x)


# ------------------------------------------------------------------- relevance and gradient


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (np.ones((4, 3)), ValueError),
        (np.ones((3, 2)), ValueError),
        (np.ones(2), ValueError),
        (np.ones((4, 1, 1, 2)), ValueError),
        (np.ones((4, 2, 3)), ValueError),
        (np.float64(2), ValueError),
        (np.full((4, 2), np.nan), ValueError),
        (np.full((4, 3, 2), np.inf), ValueError),
        (np.full((4, 2), 1e300), ValueError),
        ("R", TypeError),
        (np.ones((4, 2), complex), TypeError),
    ],
    ids=lambda v: str(v).split("\n")[0][:30],
)
def test_bad_relevance_and_gradient(wrong, error):
    x = X.astype(np.float32)
    with np.errstate(over="ignore"):
        with pytest.raises(error, match=named("relevance")):
            dtd.Dense(W).redistribute(x, wrong, dtd.ZPlus())
        with pytest.raises(error, match=named("gradient")):
            dtd.Dense(W).gradient(x, wrong)
        with pytest.raises(error, match=named("relevance")):
            dtd.LRP(net())(x, relevance=wrong)


def test_bad_rules_for_a_layer():
    layer = dtd.Dense(W)
    for wrong in (None, "ZPlus", dtd.ZPlus, 3, [dtd.ZPlus()], {"rule": 1}, np.ones(2)):
        with pytest.raises(TypeError, match=r"(?i)rule"):
            layer.redistribute(X, R, wrong)


# ------------------------------------------------------------------- layers

BAD_LAYERS = [
    (lambda: dtd.Dense(np.ones(3)), ValueError, "weight"),
    (lambda: dtd.Dense(np.ones((1, 2, 3))), ValueError, "weight"),
    (lambda: dtd.Dense(2.0), ValueError, "weight"),
    (lambda: dtd.Dense([[1.0, np.nan]]), ValueError, "weight"),
    (lambda: dtd.Dense([[np.inf]]), ValueError, "weight"),
    (lambda: dtd.Dense("w"), TypeError, "weight"),
    (lambda: dtd.Dense(None), TypeError, "weight"),
    (lambda: dtd.Dense(np.ones((2, 2), complex)), TypeError, "weight"),
    (lambda: dtd.Dense(W, np.ones(3)), ValueError, "bias"),
    (lambda: dtd.Dense(W, np.ones((1, 2))), ValueError, "bias"),
    (lambda: dtd.Dense(W, 0.0), ValueError, "bias"),
    (lambda: dtd.Dense(W, [0.0, np.nan]), ValueError, "bias"),
    (lambda: dtd.Dense(W, "b"), TypeError, "bias"),
    (lambda: dtd.Dense(W.astype(np.float32), [1e300, 0.0]), ValueError, "bias"),
    (lambda: dtd.LeakyReLU(-0.1), ValueError, "slope"),
    (lambda: dtd.LeakyReLU(np.nan), ValueError, "slope"),
    (lambda: dtd.LeakyReLU("0.1"), TypeError, "slope"),
    (lambda: dtd.Clip(np.nan, 1), ValueError, "low"),
    (lambda: dtd.Clip("0", 1), TypeError, "low"),
    (lambda: dtd.Clip(1, 0), ValueError, "high"),
    (lambda: dtd.Clip(0, np.nan), ValueError, "high"),
    (lambda: dtd.Clip(0, None), TypeError, "high"),
    (lambda: dtd.NeuronPool(0), ValueError, "size"),
    (lambda: dtd.NeuronPool(-2), ValueError, "size"),
    (lambda: dtd.NeuronPool(2.0), TypeError, "size"),
    (lambda: dtd.NeuronPool("all"), TypeError, "size"),
    (lambda: dtd.NeuronPool(True), TypeError, "size"),
    (lambda: dtd.NeuronPool(p=0.5), ValueError, "p"),
    (lambda: dtd.NeuronPool(p=np.nan), ValueError, "p"),
    (lambda: dtd.NeuronPool(p=-np.inf), ValueError, "p"),
    (lambda: dtd.NeuronPool(p="max"), TypeError, "p"),
    (lambda: dtd.NeuronPool(p=None), TypeError, "p"),
    (lambda: dtd.NeuronPool(p=[1, 2]), TypeError, "p"),
    (lambda: dtd.NeuronPool(p=np.ones(2)), TypeError, "p"),
]


@pytest.mark.parametrize(("make", "error", "name"), BAD_LAYERS)
def test_bad_arguments_of_layers(make, error, name):
    with np.errstate(over="ignore"), pytest.raises(error, match=named(name)):
        make()


def test_pools_that_do_not_fit():
    for neurons, size in ((5, 2), (3, 4)):
        with pytest.raises(ValueError, match=rf"{neurons}.*{size}"):
            dtd.NeuronPool(size).forward(np.ones((1, neurons)))
    for shape in ((1, 0), (1, 2, 2), (1,)):
        with pytest.raises(ValueError, match="NeuronPool"):
            dtd.NeuronPool().forward(np.ones(shape))


# ------------------------------------------------------------------- domains

BAD_DOMAINS = [
    (lambda: dtd.Box(0.1, 1), ValueError, "low"),
    (lambda: dtd.Box(-1, -0.1), ValueError, "high"),
    (lambda: dtd.Box(-np.inf, 1), ValueError, "low"),
    (lambda: dtd.Box(0, np.inf), ValueError, "high"),
    (lambda: dtd.Box(np.nan, 1), ValueError, "low"),
    (lambda: dtd.Box("0", 1), TypeError, "low"),
    (lambda: dtd.Box(0, None), TypeError, "high"),
    (lambda: dtd.Box([0, 1], 1), ValueError, "low"),
]


@pytest.mark.parametrize(("make", "error", "name"), BAD_DOMAINS)
def test_bad_domains(make, error, name):
    with pytest.raises(error, match=named(name)):
        make()


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (dtd.NonNegative(), -1e-30),
        (dtd.Box(-1, 2), 2.0000001),
        (dtd.Box(-1, 2), -1.0000001),
        (dtd.Box([-1, -0.5, -1], [1.0, 0.5, 1.0]), 0.75),
        (dtd.Reals(), np.inf),
        (dtd.NonNegative(), np.nan),
    ],
    ids=str,
)
def test_inputs_outside_the_domain(domain, value):
    """Refused with the place, the value and the domain; the bounds themselves belong to it."""
    explainer = dtd.DeepTaylor(net(), domain)
    x = np.zeros((4, 3))
    explainer(x)
    x[2, 1] = value
    with pytest.raises(ValueError, match=r"x\[2, 1\]"):
        explainer(x)
    if np.isfinite(value):
        with pytest.raises(ValueError, match=type(domain).__name__):
            explainer(x)
    assert domain.contains(x).tolist() == [True, True, False, True]
    if np.isfinite(value):
        assert domain.contains(domain.project(x)).all()


def test_bounds_belong_to_the_box(dtype):
    """Also those that the dtype of x can only round."""
    for low, high in ((-0.1, 0.3), (-1 / 3, 0.7)):
        box = dtd.Box(low, high)
        x = np.array([[low, high, 0]], dtype)
        assert dtd.DeepTaylor(net(), box)(x).relevance.shape == (1, 3)
        assert box.contains(x).all()
        assert (box.project(2 * x) == x).all()


DOMAINS = [
    (dtd.Box(0, 1), 0, 1),
    (dtd.Box(-1, 3), -1, 3),
    (dtd.Box(0, [255.0, 1.0, 1e-3]), 0, [255, 1, 1e-3]),
    (dtd.Box([-1e6, -1, 18], [1e6, 1, 80], origin=[0, 0, 40]), [-1e6, -1, 18], [1e6, 1, 80]),
    (dtd.NonNegative(), 0, np.inf),
]


@pytest.mark.parametrize(("domain", "low", "high"), DOMAINS, ids=str)
def test_rounding_at_a_bound_does_not_count(domain, low, high, dtype):
    """Explained as the bound itself; what is farther outside is still refused."""
    low, high = (np.broadcast_to(bound, 3).astype(dtype) for bound in (low, high))
    largest = np.where(np.isinf(high), 7, np.maximum(abs(low), abs(high)))
    steps = np.finfo(dtype).eps * largest
    within = np.where(np.isinf(high), 7, high)
    explain = dtd.DeepTaylor(net(), domain)
    for ulps in (1, 3, 30):
        below, above = (low - ulps * steps).astype(dtype), (high + ulps * steps).astype(dtype)
        x = np.array([within, low, below, np.where(np.isinf(high), 7, above)], dtype)
        given = x.copy()
        assert domain.contains(x).all()
        explanation = explain(x)
        assert (explanation.inputs == np.array([within, low, low, within], dtype)).all()
        assert (explanation.relevance == explain(explanation.inputs).relevance).all()
        assert (x == given).all()
    for place in range(3):
        x = np.array([within], dtype)
        x[0, place] = low[place] - 1000 * steps[place]
        assert not domain.contains(x).any()
        with pytest.raises(ValueError, match=rf"x\[0, {place}\] = .* is outside the domain"):
            explain(x)


def test_rounding_at_bounds_elsewhere():
    """Of roots, of domains by input, behind scalers; the first number beyond rounding is named."""
    above = 1 + 2**-52
    x = np.array([[above, -5e-18, 0.5]])
    found = dtd.nearest_root(net(), x, dtd.Box(0, 1))
    assert dtd.Box(0, 1).contains(found.root).all()
    taylor = dtd.Taylor(net(), root=x, domain=dtd.Box(0, 1))
    assert (taylor(np.ones((1, 3))).relevance[0, 0] == 0).all()
    scaled = dtd.Network([dtd.ChannelAffine([2.0, 3.0, 4.0], [-1.0, 0.0, 0.0]), *net().layers])
    explain = dtd.DeepTaylor(scaled, dtd.Box(0, 1))
    assert (explain(x).relevance == explain(np.array([[1, 0, 0.5]])).relevance).all()
    two = dtd.Network(
        [("sum", dtd.Add(), ["a", "b"]), dtd.Dense(np.ones((3, 1)))], {"a": (3,), "b": (3,)}
    )
    explanation = dtd.DeepTaylor(two, {"a": dtd.Box(0, 1), "b": dtd.Reals()})({"a": x, "b": x})
    assert explanation.inputs["a"].tolist() == [[1, 0, 0.5]]
    assert explanation.inputs["b"].tolist() == x.tolist()
    x[0, 2] = 1.5
    with pytest.raises(ValueError, match=r"x\[0, 2\] = 1.5 is outside"):
        dtd.DeepTaylor(net(), dtd.Box(0, 1))(x)
    with pytest.raises(ValueError, match=r"x\[0, 2\] = nan is not finite"):
        dtd.DeepTaylor(net(), dtd.Box(0, 1))(np.array([[above, 0, np.nan]]))


def test_domains_with_tolerance():
    x = np.array([[-0.5, 0.0], [1.25, 0.0], [0.5, 0.5]])
    assert dtd.Box(0, 1).contains(x).tolist() == [False, False, True]
    assert dtd.Box(0, 1).contains(x, tolerance=0.25).tolist() == [False, True, True]
    assert dtd.NonNegative().contains(x, 0.5).all()
    assert dtd.NonNegative().project(x).tolist() == [[0, 0], [1.25, 0], [0.5, 0.5]]
    assert dtd.Box(0, [1.0, 0.25]).project(x).tolist() == [[0, 0], [1, 0], [0.5, 0.25]]
    assert (dtd.Reals().project(x) == x).all()


def test_domains_are_frozen_values():
    for domain in (dtd.Reals(), dtd.NonNegative(), dtd.Box(0, 1), dtd.Box([-1, 0], [0, 1])):
        same = type(domain)(**vars(domain))
        assert domain == same
        assert hash(domain) == hash(same)
    assert dtd.Box(0, 1) == dtd.Box(0.0, 1.0)
    assert dtd.Box(0, 1) != dtd.Box(0, 2)
    assert dtd.Reals() != dtd.NonNegative()
    box = dtd.Box(np.zeros(2), 1)
    with pytest.raises(ValueError, match="read-only"):
        box.low[0] = -1


def test_boxes_that_do_not_fit_the_network():
    with pytest.raises(ValueError, match="low"):
        dtd.DeepTaylor(net(), dtd.Box([0, 0], 1))
    with pytest.raises(ValueError, match="high"):
        dtd.DeepTaylor(net(), dtd.Box(0, np.ones(4)))


# ------------------------------------------------------------------- explainers


@pytest.mark.parametrize(
    "explainer",
    [
        dtd.DeepTaylor,
        dtd.LRP,
        dtd.Sensitivity,
        dtd.GradientTimesInput,
        dtd.Taylor,
        dtd.IntegratedGradients,
        dtd.SmoothGrad,
    ],
    ids=lambda e: e.__name__,
)
@pytest.mark.parametrize("wrong", [None, "net.npz", dtd.Dense(W), [dtd.Dense(W)]], ids=str)
def test_a_network_is_needed(explainer, wrong):
    with pytest.raises(TypeError, match="network"):
        explainer(wrong)


BAD_EXPLAINERS = [
    (lambda: dtd.DeepTaylor(net(), "box"), TypeError, "domain"),
    (lambda: dtd.DeepTaylor(net(), (0, 1)), TypeError, "domain"),
    (lambda: dtd.DeepTaylor(net(), dtd.Box), TypeError, "domain"),
    (lambda: dtd.DeepTaylor(net(), relevance_model="MinMax"), TypeError, "relevance_model"),
    (lambda: dtd.DeepTaylor(net(), pooling="max"), ValueError, "pooling"),
    (lambda: dtd.DeepTaylor(net(), pooling=None), ValueError, "pooling"),
    (lambda: dtd.LRP(net(), pooling="max"), ValueError, "pooling"),
    (lambda: dtd.Taylor(net(), root="farthest"), ValueError, "root"),
    (lambda: dtd.Taylor(net(), root=[np.nan] * 3), ValueError, "root"),
    (lambda: dtd.Taylor(net(), root=None), TypeError, "root"),
    (lambda: dtd.Taylor(net(), domain="reals"), TypeError, "domain"),
    (lambda: dtd.Taylor(net(), root=np.zeros(2))(X), ValueError, "root"),
    (lambda: dtd.IntegratedGradients(net(), steps=0), ValueError, "steps"),
    (lambda: dtd.IntegratedGradients(net(), steps=1.5), TypeError, "steps"),
    (lambda: dtd.IntegratedGradients(net(), baseline=np.nan), ValueError, "baseline"),
    (lambda: dtd.IntegratedGradients(net(), baseline="black"), TypeError, "baseline"),
    (lambda: dtd.IntegratedGradients(net(), baseline=np.ones(2))(X), ValueError, "baseline"),
    (lambda: dtd.SmoothGrad(net(), samples=0), ValueError, "samples"),
    (lambda: dtd.SmoothGrad(net(), samples="9"), TypeError, "samples"),
    (lambda: dtd.SmoothGrad(net(), noise=-0.1), ValueError, "noise"),
    (lambda: dtd.SmoothGrad(net(), noise=None), TypeError, "noise"),
    (lambda: dtd.SmoothGrad(net(), seed=-1), ValueError, "seed"),
    (lambda: dtd.SmoothGrad(net(), seed=1.0), TypeError, "seed"),
    (lambda: dtd.set_num_threads(0), ValueError, "threads"),
    (lambda: dtd.set_num_threads(-1), ValueError, "threads"),
    (lambda: dtd.set_num_threads(1.5), TypeError, "threads"),
    (lambda: dtd.set_num_threads(None), TypeError, "threads"),
    (lambda: dtd.set_num_threads(True), TypeError, "threads"),
]


@pytest.mark.parametrize(("make", "error", "name"), BAD_EXPLAINERS)
def test_bad_arguments_of_explainers(make, error, name):
    with pytest.raises(error, match=named(name)):
        make()


def test_an_error_leaves_the_explainer_usable():
    explainer = dtd.DeepTaylor(net(), dtd.Box(0, 1))
    before = explainer(X).relevance
    for wrong in (np.full((4, 3), 7.0), np.ones((4, 2)), "x"):
        with pytest.raises((TypeError, ValueError)):
            explainer(wrong)
    assert (explainer(X).relevance == before).all()
