# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The nearest root: against brute force and scipy, its certificate, and what cannot be solved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dtdcore as dtd

optimize = pytest.importorskip("scipy.optimize")

DOMAINS = {
    "reals": lambda d: dtd.Reals(),
    "non-negative": lambda d: dtd.NonNegative(),
    "box": lambda d: dtd.Box(-0.5, 1),
    "box of arrays": lambda d: dtd.Box(-np.linspace(0, 1, d), np.linspace(1.5, 0, d)),
}


@pytest.fixture(params=DOMAINS)
def make_domain(request):
    return DOMAINS[request.param]


def one_layer(weight, bias, p=1):
    return dtd.Network([dtd.Dense(weight, bias), dtd.ReLU(), dtd.NeuronPool(p=p)])


def random_layer(rng, inputs, neurons, p=1):
    weight = rng.normal(size=(inputs, neurons)) / np.sqrt(inputs)
    return one_layer(weight, -0.1 * rng.exponential(size=neurons), p), weight


def bounds_of(domain, inputs):
    low, high = domain.bounds((inputs,), np.dtype(np.float64))
    return np.broadcast_to(low, inputs), np.broadcast_to(high, inputs)


def brute_force(x, weight, bias, low, high):
    """The nearest point of {weightᵀ ξ + bias ≤ 0, low ≤ ξ ≤ high}: every active set is tried."""
    identity = np.eye(len(x))
    finite_low, finite_high = np.isfinite(low), np.isfinite(high)
    a = np.concatenate([weight.T, -identity[finite_low], identity[finite_high]])
    c = np.concatenate([bias, low[finite_low], -high[finite_high]])
    best = None
    for size in range(len(x) + 1):
        for active in itertools.combinations(range(len(a)), size):
            rows = a[list(active)]
            point = x
            if size:
                if np.linalg.matrix_rank(rows) < size:
                    continue
                step = np.linalg.solve(rows @ rows.T, rows @ x + c[list(active)])
                point = x - rows.T @ step
            if np.all(a @ point + c <= 1e-10) and (
                best is None or np.linalg.norm(point - x) < np.linalg.norm(best - x)
            ):
                best = point
    return best


def slsqp(x, weight, bias, low, high):
    result = optimize.minimize(
        lambda point: 0.5 * np.sum((point - x) ** 2),
        np.zeros(len(x)),
        jac=lambda point: point - x,
        bounds=list(zip(low, high, strict=True)),
        constraints={
            "type": "ineq",
            "fun": lambda point: -(point @ weight + bias),
            "jac": lambda point: -weight.T,
        },
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    # 0: done; 8: no further progress. Both count if the point is feasible.
    assert result.status in (0, 8) and np.all(result.x @ weight + bias <= 1e-8)
    return result.x


def assert_roots(found, net, x, domain, tolerance=1e-6):
    """What every result promises, from the network alone."""
    lead = found.value.shape
    assert found.root.dtype == found.gradient.dtype == found.relevance.dtype == x.dtype
    assert found.root.shape == found.gradient.shape == found.relevance.shape == lead + x.shape[1:]
    assert found.converged.all()
    assert np.all(np.abs(found.value) <= tolerance * np.abs(found.output))
    assert domain.contains(found.root.reshape(-1, *x.shape[1:])).all()
    if x.dtype == np.float64 and len(lead) == 1:
        # Exactly what the network says at the point that was returned.
        rows = np.arange(len(x)), found.target
        assert np.array_equal(found.value, net.forward(found.root).reshape(len(x), -1)[rows])
        assert np.array_equal(found.gradient, net.gradient(found.root, found.target))
        assert np.array_equal(found.relevance, found.gradient * (x - found.root))
        axes = tuple(range(1, x.ndim))
        rest = found.output - found.value - found.relevance.sum(axis=axes)
        np.testing.assert_allclose(found.residual, rest, rtol=0, atol=1e-12 * (1 + abs(rest).max()))
        np.testing.assert_allclose(
            found.distance, np.sqrt(np.sum((x - found.root) ** 2, axis=axes)), rtol=1e-12
        )


@pytest.mark.parametrize("seed", range(6))
def test_brute_force_agrees(make_domain, seed):
    rng = np.random.default_rng(seed)
    inputs, neurons = rng.integers(1, 4), rng.integers(1, 5)
    weight, bias = rng.normal(size=(inputs, neurons)), -rng.exponential(size=neurons)
    domain = make_domain(inputs)
    x = domain.project(3 * rng.normal(size=(4, inputs)))
    net = one_layer(weight, bias)
    found = dtd.nearest_root(net, x, domain)
    assert_roots(found, net, x, domain)
    assert found.certified.all()
    for sample in range(len(x)):
        exact = brute_force(x[sample], weight, bias, *bounds_of(domain, inputs))
        size = 1 + np.abs(x[sample]).max()
        np.testing.assert_allclose(found.root[sample], exact, rtol=0, atol=1e-4 * size)
        distance = np.linalg.norm(exact - x[sample])
        np.testing.assert_allclose(found.distance[sample], distance, rtol=1e-4, atol=1e-12)
        if found.output[sample] > 0:
            np.testing.assert_allclose(found.bound[sample], distance, rtol=1e-8)


@pytest.mark.parametrize("p", [1, 2, np.inf])
@pytest.mark.parametrize("shape", [(12, 9), (9, 25), (40, 30)])
def test_scipy_agrees(make_domain, shape, p, rng):
    net, weight = random_layer(rng, *shape, p)
    domain = make_domain(shape[0])
    x = domain.project(2 * rng.normal(size=(4, shape[0])))
    found = dtd.nearest_root(net, x, domain)
    assert_roots(found, net, x, domain)
    assert found.certified.all()
    bias = net.layers[0].bias
    for sample in np.flatnonzero(found.output > 0):
        exact = slsqp(x[sample], weight, bias, *bounds_of(domain, shape[0]))
        np.testing.assert_allclose(
            found.bound[sample], np.linalg.norm(exact - x[sample]), rtol=1e-6
        )
        np.testing.assert_allclose(found.root[sample], exact, rtol=0, atol=1e-4)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(1, 20),
    st.sampled_from(sorted(DOMAINS)),
    st.sampled_from(["normal", "whole", "parallel", "scales", "flat"]),
)
def test_certified_for_all_kinds_of_weights(seed, inputs, neurons, domain, kind):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(inputs, neurons))
    match kind:
        case "whole":
            weight = np.round(weight)
        case "parallel":
            weight = weight[:, rng.integers(0, neurons, neurons)] * rng.choice([1, 3], neurons)
        case "scales":
            weight *= 10 ** rng.uniform(-3, 3, neurons)
        case "flat":
            weight = rng.normal(size=(inputs, 2)) @ rng.normal(size=(2, neurons))
    bias = -rng.exponential(size=neurons) * rng.integers(0, 2, neurons)
    domain = DOMAINS[domain](inputs)
    x = domain.project(rng.normal(size=(2, inputs)))
    net = one_layer(weight, bias)
    found = dtd.nearest_root(net, x, domain)
    assert_roots(found, net, x, domain)
    assert found.certified.all()
    # 0 is a root, and so are points on the way there; none is nearer than the bound.
    for t in np.linspace(0, 1, 5):
        is_root = net.forward(t * x)[:, 0] == 0
        assert np.all((np.linalg.norm(x - t * x, axis=1) >= found.bound * (1 - 1e-12))[is_root])


def test_no_random_root_is_nearer_than_the_bound(make_domain, rng):
    net, _ = random_layer(rng, 6, 4)
    domain = make_domain(6)
    x = domain.project(rng.normal(size=(1, 6)) + 1)
    found = dtd.nearest_root(net, x, domain)
    step = rng.normal(size=(20000, 6)) * rng.exponential(size=(20000, 1))
    points = domain.project(found.root + 2 * found.distance[0] * step)
    roots = points[net.forward(points)[:, 0] == 0]
    assert len(roots) > 100
    assert np.linalg.norm(roots - x, axis=1).min() >= found.bound[0]


def test_gradient_is_that_of_the_neurons_still_active():
    # f = max(0, x_1) + max(0, x_1 + x_2 - 3) at (2, 2): the nearest root is (0, 2), where the first
    # neuron sits on its hinge and the second is off: it adds the residual f - Σ R = 1.
    net = one_layer(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([0.0, -3.0]))
    found = dtd.nearest_root(net, np.array([[2.0, 2.0]]))
    np.testing.assert_allclose(found.root, [[0, 2]], atol=1e-5)
    assert found.gradient.tolist() == [[1, 0]]
    np.testing.assert_allclose(found.relevance, [[2, 0]], rtol=1e-5)
    np.testing.assert_allclose(found.residual, [1], rtol=1e-4)
    # With b_2 = -1 the nearest root is (0, 1): both neurons are on their hinge and both count.
    net = one_layer(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([0.0, -1.0]))
    found = dtd.nearest_root(net, np.array([[2.0, 2.0]]))
    np.testing.assert_allclose(found.root, [[0, 1]], atol=1e-5)
    assert found.gradient.tolist() == [[2, 1]]
    np.testing.assert_allclose(found.residual, [0], atol=1e-4)


def test_gradient_does_not_depend_on_the_tolerance(rng):
    net, _ = random_layer(rng, 50, 40)
    x = rng.random((5, 50))
    fine = dtd.nearest_root(net, x, dtd.Box(0, 1), tolerance=1e-9)
    usual = dtd.nearest_root(net, x, dtd.Box(0, 1))
    np.testing.assert_allclose(fine.gradient, usual.gradient, rtol=1e-12)
    np.testing.assert_allclose(fine.residual, usual.residual, rtol=1e-4)
    assert np.all(fine.value <= 1e-9 * fine.output)
    assert np.all(usual.value >= 1e-8 * usual.output)


def test_size_of_the_papers_experiment(rng):
    net, _ = random_layer(rng, 1568, 400)
    x = rng.random((2, 1568))
    found = dtd.nearest_root(net, x, dtd.Box(0, 1))
    assert_roots(found, net, x, dtd.Box(0, 1))
    assert found.certified.all()


def test_samples_that_are_roots_stay(make_domain, rng):
    net = one_layer(np.ones((3, 1)), [-1.0])
    domain = make_domain(3)
    x = domain.project(np.array([[0.2, 0.1, 0.0], [1.0, 1.0, 0.2], [0.0, 0.0, 0.0]]))
    found = dtd.nearest_root(net, x, domain)
    assert_roots(found, net, x, domain)
    assert np.array_equal(found.root[[0, 2]], x[[0, 2]])
    assert not found.relevance[[0, 2]].any()
    assert found.distance[1] > 0
    assert found.iterations.tolist()[0::2] == [0, 0]
    assert found.certified.all()


def test_no_root_in_a_box_is_proven():
    net = one_layer(np.array([[1.0, -1.0], [1.0, 0.0]]), np.array([0.5, -2.0]))
    x = np.array([[0.5, 0.5], [0.0, 0.0], [1.0, 0.25]])
    found = dtd.nearest_root(net, x, dtd.Box(0, 1))
    assert not found.converged.any() and not found.certified.any()
    assert np.isinf(found.bound).all()
    assert dtd.Box(0, 1).contains(found.root).all()
    assert np.isfinite(found.relevance).all()
    with pytest.raises(ValueError, match=r"3 of 3 .* sample 0, target 0.*the domain holds none"):
        found.require()


def test_no_root_at_all_is_reported_with_a_distance():
    net = one_layer(np.array([[1.0, -1.0]]), np.array([1.0, 1.0]))  # max(0, x+1) + max(0, 1-x)
    found = dtd.nearest_root(net, np.array([[0.3], [-40.0]]))
    assert not found.converged.any()
    assert np.all(found.bound > 1e3) and np.isfinite(found.bound).all()
    with pytest.raises(ValueError, match="none is nearer to x than"):
        found.require()


def test_a_constant_neuron_has_no_root():
    found = dtd.nearest_root(one_layer(np.zeros((2, 1)), [1.0]), np.ones((1, 2)), dtd.Box(0, 1))
    assert not found.converged[0] and np.isinf(found.bound[0])
    assert np.array_equal(found.root, np.ones((1, 2)))


def test_samples_without_a_root_do_not_disturb_the_others(rng):
    # Two outputs: one has roots in the box, the other has none.
    weight = np.concatenate([rng.normal(size=(4, 3)), np.ones((4, 3))], axis=1)
    net = dtd.Network([dtd.Dense(weight, [-0.1] * 3 + [1.0] * 3), dtd.ReLU(), dtd.NeuronPool(3)])
    x = rng.random((4, 4))
    both = dtd.nearest_root(net, x, dtd.Box(0, 1), [[0, 1]] * 4)
    assert both.converged.tolist() == [[True, False]] * 4
    alone = dtd.nearest_root(net, x, dtd.Box(0, 1), 0)
    assert np.array_equal(alone.root, both.root[:, 0])
    assert alone.require() is alone
    with pytest.raises(ValueError, match="4 of 8"):
        both.require()


def test_targets(rng):
    net = dtd.Network(
        [
            dtd.Dense(rng.normal(size=(6, 9)), -0.1 * rng.random(9)),
            dtd.ReLU(),
            dtd.NeuronPool(3, p=2),
        ]
    )
    x = rng.normal(size=(5, 6))
    every = dtd.nearest_root(net, x, target=np.tile([2, 0, 1], (5, 1)))
    assert_roots(every, net, x, dtd.Reals())
    assert every.root.shape == (5, 3, 6) and every.certified.all()
    for column, target in enumerate([2, 0, 1]):
        one = dtd.nearest_root(net, x, target=target)
        assert_roots(one, net, x, dtd.Reals())
        assert np.array_equal(one.root, every.root[:, column])
        assert np.array_equal(one.residual, every.residual[:, column])
    largest = np.argmax(net.forward(x), axis=1)
    default = dtd.nearest_root(net, x)
    assert np.array_equal(default.target, largest)
    assert np.array_equal(default.root, dtd.nearest_root(net, x, target=largest).root)
    with pytest.raises(ValueError, match="target 3"):
        dtd.nearest_root(net, x, target=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [[0.5, 2.0]]}, r"x\[0, 1\] = 2.0 is outside the domain"),
        ({"x": [[0.5, np.nan]]}, "not finite"),
        ({"x": [0.5, 0.5]}, "x must have shape"),
        ({"domain": "box"}, "domain must be"),
        ({"tolerance": 1e-12}, "tolerance"),
        ({"tolerance": 0.5}, "tolerance"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"target": 1}, "target 1"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"x": [[0.5, 0.5]], "domain": dtd.Box(0, 1)} | change
    net = one_layer(np.ones((2, 1)), [-0.5])
    with pytest.raises((ValueError, TypeError), match=message):
        dtd.nearest_root(net, **arguments)


def test_dtypes(rng):
    net, weight = random_layer(rng, 30, 20)
    single = one_layer(weight.astype(np.float32), net.layers[0].bias.astype(np.float32))
    x = rng.random((6, 30)).astype(np.float32)
    found = dtd.nearest_root(single, x, dtd.Box(0, 1))
    assert_roots(found, single, x, dtd.Box(0, 1))
    assert found.certified.all()
    # The same as in float64: single precision costs the digits of the result only.
    double = dtd.nearest_root(single, x.astype(np.float64), dtd.Box(0, 1))
    assert np.array_equal(found.residual, double.residual)
    assert np.array_equal(found.relevance, double.relevance.astype(np.float32))
    np.testing.assert_allclose(found.root, double.root, atol=1e-7)
    whole = dtd.nearest_root(net, np.ones((1, 30), int))
    assert whole.root.dtype == np.float64 and whole.converged.all()


def test_bits_do_not_depend_on_the_batch(make_domain, rng):
    nets = [random_layer(rng, 25, 30)[0], deep_net(rng)]
    domain = make_domain(25)
    x = domain.project(rng.normal(size=(7, 25)))
    for net in nets:
        whole = dtd.nearest_root(net, x, domain)
        for part in (slice(0, 1), slice(1, 4), slice(4, 7)):
            found = dtd.nearest_root(net, x[part], domain)
            for name in ("root", "gradient", "relevance", "value", "residual", "bound"):
                assert np.array_equal(getattr(found, name), getattr(whole, name)[part]), name


def test_empty_batch():
    net = one_layer(np.ones((2, 3)), [-1.0] * 3)
    found = dtd.nearest_root(net, np.empty((0, 2)))
    assert found.root.shape == (0, 2) and found.require() is found


def test_images_keep_their_shape(rng):
    weight = rng.normal(size=(12, 5))
    net = dtd.Network(
        [dtd.Flatten(), dtd.Dense(weight, -0.1 * np.ones(5)), dtd.ReLU(), dtd.NeuronPool()]
    )
    x = rng.random((3, 2, 2, 3))
    domain = dtd.Box(0, np.array([1.0, 1.5, 2.0]))
    found = dtd.nearest_root(net, x, domain)
    assert_roots(found, net, x, domain)
    flat = dtd.nearest_root(
        one_layer(weight, -0.1 * np.ones(5)), x.reshape(3, 12), dtd.Box(0, np.tile([1, 1.5, 2], 4))
    )
    assert np.array_equal(found.root.reshape(3, 12), flat.root)


def test_equal_networks_have_equal_roots(rng):
    """Heads and bodies that say the same thing are seen to be one convex layer."""
    weight, bias = rng.normal(size=(8, 6)), -0.1 * rng.random(6)
    x = rng.normal(size=(4, 8))
    plain = dtd.nearest_root(one_layer(weight, bias), x)
    assert plain.certified.all()
    first, second = rng.normal(size=(8, 7)), rng.normal(size=(7, 6))
    heads = [
        [dtd.Dense(weight, bias), dtd.ReLU(), dtd.Dense(np.ones((6, 1)))],
        [dtd.Dense(weight, bias), dtd.ReLU(), dtd.NeuronPool(3), dtd.NeuronPool(2)],
        [dtd.Dense(weight, bias), dtd.ReLU(), dtd.ReLU(), dtd.Identity(), dtd.NeuronPool()],
        [dtd.Dense(weight, bias), dtd.ReLU(), dtd.Dense(np.ones((6, 2)) / 2), dtd.NeuronPool()],
    ]
    for layers in heads:
        found = dtd.nearest_root(dtd.Network(layers), x)
        assert found.certified.all()
        np.testing.assert_allclose(found.root, plain.root, atol=1e-5)
        np.testing.assert_allclose(found.residual, plain.residual, rtol=1e-5, atol=1e-4)
    merged = dtd.nearest_root(one_layer(first @ second, bias), x)
    stacked = dtd.Network([dtd.Dense(first), dtd.Dense(second, bias), dtd.ReLU(), dtd.NeuronPool()])
    found = dtd.nearest_root(stacked, x)
    assert found.certified.all()
    np.testing.assert_allclose(found.root, merged.root, atol=1e-6)
    # Without a dense layer the domain's own neurons are the detectors.
    found = dtd.nearest_root(dtd.Network([dtd.ReLU(), dtd.NeuronPool()]), x)
    np.testing.assert_allclose(found.root, np.minimum(x, 0), atol=1e-5)


def test_affine_function_of_either_sign(rng):
    w = rng.normal(size=(5, 1))
    net = dtd.Network([dtd.Dense(w, [0.3])])
    x = rng.normal(size=(6, 5))
    found = dtd.nearest_root(net, x)
    assert_roots(found, net, x, dtd.Reals())
    assert (found.output > 0).any() and (found.output < 0).any()
    np.testing.assert_allclose(found.bound, np.abs(found.output) / np.linalg.norm(w), rtol=1e-9)
    assert found.certified.all()
    np.testing.assert_allclose(found.residual, 0, atol=1e-9)


def deep_net(rng, inputs=25):
    return dtd.Network(
        [
            dtd.Dense(rng.normal(size=(inputs, 24)) / 5, -0.1 * rng.random(24)),
            dtd.ReLU(),
            dtd.NeuronPool(4, p=2),
            dtd.Dense(rng.normal(size=(6, 12)), -0.1 * rng.random(12)),
            dtd.ReLU(),
            dtd.NeuronPool(),
        ]
    )


@pytest.mark.parametrize("seed", range(4))
def test_deep_networks_with_b_below_0_always_have_a_root(make_domain, seed):
    rng = np.random.default_rng(seed)
    net, domain = deep_net(rng), make_domain(25)
    x = domain.project(3 * rng.normal(size=(8, 25)))
    found = dtd.nearest_root(net, x, domain)
    assert_roots(found, net, x, domain)
    assert not found.certified[found.output > 0].any()
    assert not found.bound.any()
    # No farther than the first root on the way to 0, and mostly nearer.
    steps = np.linspace(1, 0, 1001)[:, None, None]
    path = (steps * x).reshape(-1, 25)
    on_path = (net.forward(path)[:, 0] == 0).reshape(1001, len(x))
    first = np.linalg.norm(x, axis=1) * (1 - steps[np.argmax(on_path, axis=0), 0, 0])
    assert np.all(found.distance <= first + 1e-3)
    assert found.distance.mean() < 0.97 * first.mean()


def test_one_iteration_is_enough_for_some_root(rng):
    net, x = deep_net(rng), 3 * rng.normal(size=(8, 25))
    hasty = dtd.nearest_root(net, x, max_iterations=1)
    patient = dtd.nearest_root(net, x)
    assert hasty.converged.all()
    assert np.all(patient.distance <= hasty.distance * (1 + 1e-9))
    assert patient.distance.mean() < hasty.distance.mean()


def test_deep_network_in_two_dimensions_against_a_grid():
    rng = np.random.default_rng(5)
    net = dtd.Network(
        [
            dtd.Dense(rng.normal(size=(2, 8)), -0.2 * rng.random(8)),
            dtd.ReLU(),
            dtd.Dense(rng.normal(size=(8, 6)), -0.2 * rng.random(6)),
            dtd.ReLU(),
            dtd.NeuronPool(),
        ]
    )
    axis = np.linspace(-2, 2, 801)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    roots = grid[net.forward(grid)[:, 0] == 0]
    x = 1.5 * rng.uniform(-1, 1, size=(30, 2))
    found = dtd.nearest_root(net, x, dtd.Box(-2, 2))
    assert_roots(found, net, x, dtd.Box(-2, 2))
    global_distance = np.linalg.norm(x[:, None] - roots[None], axis=2).min(axis=1)
    assert np.all(found.distance >= global_distance - 0.01)
    close = found.distance <= 1.05 * global_distance + 0.01
    assert close.mean() >= 0.8  # local only, but rarely far off


def test_classifier_without_a_hinge(rng):
    layers = [dtd.Dense(rng.normal(size=(10, 16)) / 3, rng.normal(size=16)), dtd.ReLU()]
    weight, x = rng.normal(size=(16, 3)), rng.normal(size=(12, 10))
    middle = dtd.Network([*layers, dtd.Dense(weight)]).forward(x).mean(axis=0)
    net = dtd.Network([*layers, dtd.Dense(weight, -middle)])
    found = dtd.nearest_root(net, x, target=1)
    assert (found.output < 0).any() and (found.output > 0).any()
    assert_roots(found, net, x, dtd.Reals())
    assert np.all(found.value * found.output >= 0)  # still on x's side


def test_softmax_is_never_0_and_says_so(rng):
    net = dtd.Network([dtd.Dense(rng.normal(size=(4, 3))), dtd.Softmax()])
    x = rng.random((3, 4))
    found = dtd.nearest_root(net, x, dtd.Box(0, 1))
    assert not found.converged.any()
    assert dtd.Box(0, 1).contains(found.root).all()
    assert np.isfinite(found.root).all() and not found.bound.any()
    with pytest.raises(ValueError, match="there may be one elsewhere"):
        found.require()
