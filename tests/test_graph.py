"""Total variation on graphs and grids: against enumeration, against chains, and on inputs that make it work hard."""

import numpy as np
import pytest
import scipy.sparse

import regmax
from regmax import prox
from regmax.solvers.graph import grid_edges

from . import reference


def random_graph(rng, n, m):
    edges = rng.integers(0, n, (m, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    return np.unique(np.sort(edges, axis=1), axis=0)


def squares(side, seed=0):
    """A picture of rectangles."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side))
    for _ in range(8):
        (a, b), (c, d) = np.sort(rng.integers(0, side, (2, 2)))
        picture[a:b, c:d] += rng.normal()
    return picture


def relative_gap(proximal, x, y):
    return 0.5 * np.max((proximal.certify(x, y).error_bound / np.abs(x).max()) ** 2) / x.size


@pytest.mark.parametrize("seed", range(12))
def test_graph_tv_equals_enumeration(seed):
    rng = np.random.default_rng(seed)
    n = 1 + seed % 4
    edges = random_graph(rng, n, 6)
    weights = rng.choice([0.0, 0.5, 1.0, 2.0], len(edges))
    for x in (rng.normal(size=n), rng.integers(0, 2, n) * 1.0, np.arange(n) * 0.3):
        for lam in (0.0, 0.1, 0.4, 5.0):
            expected = reference.graph_tv_prox(x, edges, lam * weights)
            np.testing.assert_allclose(prox.graph_tv(x, edges, lam, weights), expected, atol=1e-13)


@pytest.mark.parametrize("n", [2, 6, 40])
def test_graphfusedmax_equals_projection_of_the_finished_prox(n):
    rng = np.random.default_rng(n)
    edges = random_graph(rng, n, 2 * n)
    weights = rng.choice([0.0, 0.5, 1.0], len(edges))
    for scores in (rng.normal(size=n), rng.normal(size=n) * 20, rng.integers(0, 3, n) * 1.0, np.zeros(n)):
        x = scores - scores.max()
        for lam, gamma in ((0.0, 1.0), (0.05, 1.0), (0.3, 0.5), (3.0, 2.0), (1e6, 1.0), (np.inf, 1.0)):
            expected = reference.sparsemax(prox.graph_tv(x / gamma, edges, lam, weights))
            found = regmax.graphfusedmax(scores, edges=edges, weights=weights, lam=lam, gamma=gamma)
            np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("lam", [0.0, 0.03, 1.0, 30.0, np.inf])
def test_a_path_is_a_chain_however_it_is_written(lam):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 60)) + np.sin(np.arange(60) / 5)
    place = rng.permutation(60)
    edges = np.stack([place[:-1], place[1:]], axis=1)[rng.permutation(59)]
    shuffled = np.empty_like(x)
    shuffled[:, place] = x
    np.testing.assert_allclose(prox.graph_tv(shuffled, edges, lam)[:, place], prox.tv(x, lam), atol=1e-13)
    np.testing.assert_allclose(prox.GraphTV(None, lam)(x), prox.tv(x, lam), atol=1e-13)
    np.testing.assert_allclose(prox.tv2d(x[:, None, :], lam)[:, 0], prox.tv(x, lam), atol=1e-13)
    found = regmax.graphfusedmax(shuffled, edges=edges, lam=lam)[:, place]
    np.testing.assert_allclose(found, regmax.fusedmax(x, lam=lam), atol=1e-13)
    np.testing.assert_allclose(regmax.tv2dmax(x[..., None], lam=lam)[..., 0], regmax.fusedmax(x, lam=lam), atol=1e-13)


@pytest.mark.parametrize("lam", [0.0, 0.1, 0.5, np.inf])
def test_a_grid_is_a_graph(lam):
    images = np.random.default_rng(0).normal(size=(3, 6, 9))
    rows, edges = images.reshape(3, 54), grid_edges(6, 9)
    y = prox.tv2d(images, lam)
    np.testing.assert_allclose(y.reshape(3, 54), prox.graph_tv(rows, edges, lam), atol=1e-13)
    np.testing.assert_array_equal(prox.TV2D(lam, (6, 9))(rows), y.reshape(3, 54))
    moved = prox.tv2d(np.moveaxis(images, 0, 1), lam, axis=(0, 2))
    np.testing.assert_array_equal(moved, np.moveaxis(y, 0, 1))
    np.testing.assert_allclose(prox.tv2d(images, lam, axis=(2, 1)), y, atol=1e-13)
    weights = regmax.tv2dmax(images, lam=lam, gamma=0.3)
    np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1)
    np.testing.assert_array_equal(regmax.tv2dmax(rows, shape=(6, 9), lam=lam, gamma=0.3), weights.reshape(3, 54))
    expected = regmax.graphfusedmax(rows, edges=edges, lam=lam, gamma=0.3)
    np.testing.assert_allclose(weights.reshape(3, 54), expected, atol=1e-13)


def test_a_masked_entry_cuts_its_edges():
    rng = np.random.default_rng(0)
    image, where = rng.normal(size=(7, 8)), rng.random((7, 8)) < 0.7
    live = where.ravel()
    edges = grid_edges(7, 8)
    joined = edges[live[edges].all(axis=1)]
    within = np.cumsum(live) - 1
    for lam in (0.1, 1.0, np.inf):
        expected = np.zeros(56)
        expected[live] = prox.graph_tv(image[where], within[joined], lam)
        np.testing.assert_allclose(prox.tv2d(image, lam, where=where).ravel(), expected, atol=1e-13)
        expected[live] = regmax.graphfusedmax(image[where], edges=within[joined], lam=lam)
        np.testing.assert_allclose(regmax.tv2dmax(image, lam=lam, where=where).ravel(), expected, atol=1e-13)


def test_an_adjacency_matrix_has_the_weights():
    rng = np.random.default_rng(0)
    edges = random_graph(rng, 20, 40)
    weights = rng.uniform(0.1, 2, len(edges))
    upper = scipy.sparse.coo_array((weights, edges.T), shape=(20, 20))
    x = rng.normal(size=20)
    y = prox.graph_tv(x, edges, 0.2, weights)
    np.testing.assert_allclose(prox.graph_tv(x, upper + upper.T, 0.2), y, atol=1e-15)
    parts = reference.parts(20, edges)
    for part in parts:
        np.testing.assert_allclose(prox.graph_tv(x, edges, np.inf, weights)[part], x[part].mean(), atol=1e-14)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("lam", [0.05, 0.5, 5.0])
def test_pictures_are_solved_exactly(lam, scale):
    side = 48
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(side, side))
    i, j = np.indices((side, side))
    pictures = {
        "noise": noise,
        "squares": squares(side),
        "noisy squares": squares(side) + 0.2 * noise,
        "integers": np.round(noise),
        "checkerboard": (i + j) % 2.0,
        "ramp": i + j * 1.0,
        "spike": np.where((i == 20) & (j == 20), 1e3, 0.0),
        "exponential ramp": 2.0 ** -(i % 40.0),
    }
    proximal = prox.TV2D(lam * scale)
    for name, picture in pictures.items():
        y = proximal(picture * scale)
        assert relative_gap(proximal, picture * scale, y) <= 1e-15, name
        if scale == 1:
            operator = regmax.Tv2dmax(lam, shape=(side, side))
            weights = operator(picture.ravel())
            assert operator.certify(picture.ravel(), weights).gap <= 1e-12 * max(1, np.abs(picture).max()), name


@pytest.mark.parametrize("lam", [0.01, 1.0, 100.0])
def test_no_graph_takes_quadratic_time(lam):
    """Not timed: with one level after the other these take hours."""
    n = 20_000
    k = np.arange(n)
    rng = np.random.default_rng(0)
    chain = np.stack([k[:-1], k[1:]], axis=1)
    star = np.stack([np.zeros(n - 1, int), k[1:]], axis=1)
    tree = np.stack([rng.integers(0, k[1:]), k[1:]], axis=1)
    for edges in (chain, star, tree, random_graph(rng, n, 3 * n)):
        for x in (rng.normal(size=n), k * 1.0, np.cumsum(rng.normal(size=n)), 1.001**-k):
            proximal = prox.GraphTV(edges, lam)
            assert relative_gap(proximal, x, proximal(x)) <= 1e-13


def test_groups_have_one_value_and_filled_edges_between_them():
    rng = np.random.default_rng(0)
    edges = random_graph(rng, 300, 700)
    x, lam = rng.normal(size=300), 0.2
    proximal = prox.GraphTV(edges, lam)
    y = proximal(x)
    inside = edges[y[edges[:, 0]] == y[edges[:, 1]]]
    assert 50 < len(inside) < len(edges)
    expected = np.empty(300)
    for part in reference.parts(300, inside):
        pull = sum(lam * (np.sign(y[j] - y[i]) * (i in part) + np.sign(y[i] - y[j]) * (j in part)) for i, j in edges)
        expected[part] = x[part].mean() + pull / len(part)
    np.testing.assert_allclose(y, expected, atol=1e-14)
    v = rng.normal(size=300)
    mean = np.empty(300)
    for part in reference.parts(300, inside):
        mean[part] = v[part].mean()
    np.testing.assert_allclose(proximal.jacobian(y, v), mean, atol=1e-14)


def test_the_gap_is_what_is_lost():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 16))
    proximal = prox.TV2D(0.3)
    y = proximal(x)
    for size in (1e-3, 1e-6):
        off = y + size * rng.normal(size=y.shape)
        gap = proximal.certify(x, off).gap
        np.testing.assert_allclose(gap, proximal.objective(x, off) - proximal.objective(x, y), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: prox.graph_tv([1.0, 2.0], [[0, 2]], 1), ValueError, "prox.graph_tv: edges must hold vertices below 2"),
        (lambda: prox.graph_tv([1.0, 2.0], [[0, 1]], -1), ValueError, "prox.graph_tv: lam must be >= 0, got -1"),
        (lambda: prox.graph_tv([1.0, 2.0], [[0, 1]], 1, [1.0, 2.0]), ValueError, "prox.graph_tv: weights must have 1"),
        (lambda: prox.tv2d([1.0, 2.0], 1), ValueError, "prox.tv2d: x must have at least two dimensions, got 1"),
        (lambda: prox.tv2d([[1.0, 2.0]], np.nan), ValueError, "prox.tv2d: lam must be >= 0, got nan"),
        (
            lambda: regmax.tv2dmax([1.0, 2.0], shape=(2, 2)),
            ValueError,
            "tv2dmax: shape must fold the 2 entries of a row",
        ),
        (
            lambda: regmax.graphfusedmax([1.0, 2.0], edges=[[1, 1]]),
            ValueError,
            "graphfusedmax: edges must join different",
        ),
    ],
)
def test_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_an_adjacency_matrix_of_another_size_is_refused():
    matrix = scipy.sparse.csr_array((7, 7))
    with pytest.raises(ValueError, match=r"^graphfusedmax: edges must be an adjacency matrix of the 5 scores, got one"):
        regmax.graphfusedmax(np.arange(5.0), edges=matrix)
    np.testing.assert_array_equal(regmax.graphfusedmax(np.arange(7.0), edges=matrix), regmax.sparsemax(np.arange(7.0)))


def test_entries_that_nothing_joins_keep_their_digits():
    for x in ([0.25, 0.5, 2.0**60], [0.25, 0.5, -(2.0**60)], [0.1234567890123, 1e10, -3.0]):
        np.testing.assert_array_equal(prox.graph_tv(x, [], 0.1), x)
        np.testing.assert_array_equal(prox.tv2d([x], 0.0), [x])


@pytest.mark.parametrize("size", [1e15, 1e16, 1e100, 1e300])
def test_scores_of_any_size_beside_edges_nearly_as_strong(size):
    x = size * np.array([1.0, 0.0])
    for operator in (
        regmax.Graphfusedmax(edges=[(0, 1)], lam=0.1 * size),
        regmax.Tv2dmax(0.1 * size, shape=(1, 2)),
        regmax.Plaplacemax(1.0, 0.1 * size),
        regmax.Plaplacemax(1.0, 0.1 * size, edges=[(0, 1)]),
    ):
        y = operator(x)
        np.testing.assert_array_equal(y, [1.0, 0.0])
        assert operator.certify(x, y).gap <= 1e-15 * size


def test_strengths_too_large_for_the_scores_are_certified_as_infinite():
    x = np.array([1e-300, 0.0, 3e-300])
    for proximal in (prox.GraphTV([(0, 1), (1, 2)], 1e9), prox.TV(1e12), prox.TV2D(1e12, shape=(1, 3))):
        assert proximal.certify(x, proximal(x)).error_bound <= 1e-15 * 3e-300
