"""Bad input: one sentence that names the function, the parameter, the rule and the value."""

import numpy as np
import pytest

import regmax

X = np.zeros((2, 3))
X32 = X.astype(np.float32)

WRONG = [
    (lambda: regmax.fusedmax(X, lam=-0.1), ValueError, "fusedmax: lam must be >= 0, got -0.1"),
    (lambda: regmax.fusedmax(X, lam=np.nan), ValueError, "fusedmax: lam must be >= 0, got nan"),
    (lambda: regmax.fusedmax(X, lam=[0.1, -2]), ValueError, "fusedmax: lam must be >= 0, got -2.0"),
    (lambda: regmax.fusedmax(X, lam="a"), TypeError, "fusedmax: lam must be a number or an array of numbers, got 'a'"),
    (
        lambda: regmax.fusedmax(X, lam=None),
        TypeError,
        "fusedmax: lam must be a number or an array of numbers, got None",
    ),
    (
        lambda: regmax.fusedmax(X, lam=True),
        TypeError,
        "fusedmax: lam must be a number or an array of numbers, got True",
    ),
    (
        lambda: regmax.fusedmax(X, lam=[0.1] * 3),
        ValueError,
        "fusedmax: lam must broadcast against the batch of shape (2,)",
    ),
    (
        lambda: regmax.fusedmax(X, weights=[1, 1, 1]),
        ValueError,
        "fusedmax: weights must have 2 entries on the last axis",
    ),
    (lambda: regmax.fusedmax(X, weights=[1, -1]), ValueError, "fusedmax: weights must be >= 0 and finite, got -1"),
    (lambda: regmax.fusedmax(X, weights=2.0), ValueError, "fusedmax: weights must have one entry per edge"),
    (lambda: regmax.softmax(X, gamma=0), ValueError, "softmax: gamma must be > 0 and finite, got 0"),
    (lambda: regmax.softmax(X, gamma=np.inf), ValueError, "softmax: gamma must be > 0 and finite, got inf"),
    (lambda: regmax.sparsemax(X, gamma=-1.0), ValueError, "sparsemax: gamma must be > 0 and finite, got -1.0"),
    (lambda: regmax.sparsemax(X, gamma=1j), TypeError, "sparsemax: gamma must be a number"),
    (lambda: regmax.entmax(X, alpha=0), ValueError, "entmax: alpha must be > 0 and finite, got 0"),
    (lambda: regmax.entmax(X, alpha=np.nan), ValueError, "entmax: alpha must be > 0 and finite, got nan"),
    (lambda: regmax.pnormmax(X, p=1.0), ValueError, "pnormmax: p must be > 1 and finite, got 1.0"),
    (lambda: regmax.normmax(X, p=0.5), ValueError, "normmax: p must be > 1 and finite, got 0.5"),
    (lambda: regmax.budgetmax(X, upper=-1.0), ValueError, "budgetmax: upper must be >= 0, got -1.0"),
    (lambda: regmax.budgetmax(X, upper=0.1), ValueError, "budgetmax: upper must sum to at least total=1"),
    (lambda: regmax.budgetmax(X, total=0.0), ValueError, "budgetmax: total must be > 0 and finite, got 0.0"),
    (lambda: regmax.topkmax(X, k=4), ValueError, "topkmax: k must be at most the 3 entries of a row, got 4"),
    (lambda: regmax.topkmax(X, k=0), ValueError, "topkmax: k must be an integer from 1 to 2^53, got 0"),
    (lambda: regmax.topkmax(X, k=1.5), ValueError, "topkmax: k must be an integer from 1 to 2^53, got 1.5"),
    (lambda: regmax.topkmax(X, k=1e300), ValueError, "topkmax: k must be an integer from 1 to 2^53, got 1e+300"),
    (lambda: regmax.normmax(X32, p=1 + 1e-9), ValueError, "normmax: p must be > 1 and finite in float32"),
    (lambda: regmax.entmax(X32, alpha=1e39), ValueError, "entmax: alpha must be > 0 and finite in float32"),
    (lambda: regmax.fusedmax(X, lam=[[1], [1, 2]]), TypeError, "fusedmax: lam must be a number or an array of numbers"),
    (lambda: regmax.Fusedmax([0.1, 5]).problem(X[0]), ValueError, "fusedmax: lam must broadcast against the batch"),
    (lambda: regmax.oscarmax_published(X, lam=np.inf), ValueError, "oscarmax_published: lam must be finite, got inf"),
    (lambda: regmax.oscarmax(X, weights=[1, 2, 3]), ValueError, "oscarmax: weights must be finite and non-increasing"),
    (lambda: regmax.oscarmax(X, weights=[2, 1]), ValueError, "oscarmax: weights must have 3 entries on the last axis"),
    (lambda: regmax.sparsemax(1.0), ValueError, "sparsemax: x must have at least one dimension, got a scalar"),
    (lambda: regmax.sparsemax(np.zeros((2, 0))), ValueError, "sparsemax: the axis must have at least one entry"),
    (lambda: regmax.sparsemax(X, axis=2), ValueError, "sparsemax: axis must be within the 2 dimensions of x, got 2"),
    (lambda: regmax.sparsemax(X, axis=1.0), TypeError, "sparsemax: axis must be an integer, got 1.0"),
    (lambda: regmax.sparsemax(X, axis=(0, 1)), TypeError, "sparsemax: axis must be an integer, got (0, 1)"),
    (lambda: regmax.sparsemax(X, where=np.ones(3)), TypeError, "sparsemax: where must be boolean, got dtype float64"),
    (lambda: regmax.sparsemax(X, where=[True] * 4), ValueError, "sparsemax: where must broadcast to the shape (2, 3)"),
    (lambda: regmax.sparsemax([[1, 2], [3]]), TypeError, "sparsemax: x must be an array of real numbers"),
    (lambda: regmax.sparsemax("abc"), TypeError, "sparsemax: x must be an array of real numbers, got dtype <U3"),
    (lambda: regmax.sparsemax(np.ma.zeros(3)), TypeError, "sparsemax: x must be a plain array, got a masked array"),
    (lambda: regmax.Sparsemax().jacobian(X, X[:1]), ValueError, "sparsemax: v must have the shape (2, 3), got (1, 3)"),
    (lambda: regmax.Sparsemax().loss(X, [0, 3]), ValueError, "sparsemax: target labels must be in 0..2, got 3"),
    (lambda: regmax.Sparsemax().loss(X, [0, -1]), ValueError, "sparsemax: target labels must be in 0..2, got -1"),
    (lambda: regmax.Sparsemax().loss(X, [0]), ValueError, "sparsemax: target labels must have shape (2,)"),
    (lambda: regmax.Sparsemax().loss(X, [0.5, 1]), TypeError, "sparsemax: target must hold integer labels"),
    (lambda: regmax.Sparsemax().loss(X, X), ValueError, "sparsemax: target must lie in the domain"),
    (lambda: regmax.Sparsemax().certify(X, X[0]), ValueError, "sparsemax: y must have the shape (2, 3), got (3,)"),
    (lambda: regmax.Sparsemax().problem(X), ValueError, "sparsemax: problem takes one row of scores"),
    (lambda: regmax.Topkmax(1).jacobian(X, X), TypeError, "topkmax: the Jacobian depends on the scores"),
    (lambda: regmax.oscarmax_published(X, lam=-1.0), ValueError, "oscarmax: lam must be >= 0, got -1.0"),
    (
        lambda: regmax.graphfusedmax(X, edges=[(0, 1), (2,)]),
        TypeError,
        "graphfusedmax: edges must be pairs of integers",
    ),
    (lambda: regmax.graphfusedmax(X, edges=[(0, 2**40)]), ValueError, "graphfusedmax: edges must hold vertices from 0"),
    (lambda: regmax.graphfusedmax(X, edges=[(0, 3)]), ValueError, "graphfusedmax: edges must hold vertices below 3"),
    (lambda: regmax.graphfusedmax(X, edges=[(1, 1)]), ValueError, "graphfusedmax: edges must join different vertices"),
    (
        lambda: regmax.graphfusedmax(X, edges=[(0, 1), (1, 0)]),
        ValueError,
        "graphfusedmax: edges must not repeat an edge",
    ),
    (
        lambda: regmax.graphfusedmax(X, edges=[(0, 1)], weights=2.0),
        ValueError,
        "graphfusedmax: weights must have one entry",
    ),
    (lambda: regmax.plaplacemax(X, p=0.9), ValueError, "plaplacemax: p must be >= 1 and finite, got 0.9"),
    (lambda: regmax.tv2dmax(X, shape=(2, 2)), ValueError, "tv2dmax: shape must fold the 3 entries of a row, got 2 x 2"),
    (lambda: regmax.kregularmax(X, 4), ValueError, "kregularmax: k must be at most the number of columns"),
    (lambda: regmax.kregularmax(X, 1, reading="all"), ValueError, "kregularmax: reading must be one of 'both', 'row'"),
    (lambda: regmax.set_num_threads(0), ValueError, "set_num_threads: n must be >= 1, got 0"),
    (lambda: regmax.set_num_threads(1.5), TypeError, "set_num_threads: n must be an integer, got 1.5"),
]


@pytest.mark.parametrize(("call", "kind", "sentence"), WRONG, ids=[sentence for _, _, sentence in WRONG])
def test_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_infinite_lam_is_allowed():
    x = np.array([1.0, 2.0, 4.0])
    assert regmax.Fusedmax(np.inf).certify(x, regmax.fusedmax(x, lam=np.inf)).gap < 1e-15
    assert regmax.Oscarmax(np.inf).certify(x, regmax.oscarmax(x, lam=np.inf)).gap < 1e-15


@pytest.mark.parametrize("alpha", [1 + 1e-12, 0.9999, 1.99999])
def test_cvxpy_refuses_orders_it_would_round(alpha):
    with pytest.raises(ValueError, match=r"^entmax: alpha must be a fraction with a denominator up to 1024"):
        regmax.Entmax(alpha).problem(X[0])
