"""A user's own Omega: against the operators of regmax, against CVXPY, on rows that break solvers, and badly written."""

import pickle
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import regmax
from regmax._generic_jacobian import LARGEST
from regmax._regularizer import Regularizer
from regmax.adapters import cvxpy as witness
from regmax.authoring import NON_NEGATIVE, POSITIVE, parameter
from regmax.solvers import generic as solver
from regmax.solvers import splitting
from regmax.verify import check, verify

from . import reference
from .instances import families, scale_of
from .own_regularizers import (
    OWN,
    Entropy,
    EntropyOnGraph,
    Form,
    Fused,
    FusedForm,
    PNorm,
    Quadratic,
    positive,
)

RING = np.stack([np.arange(6), (np.arange(6) + 1) % 6], axis=1)

#: (own, the operator of regmax that it is)
TWINS = [
    (Quadratic(), regmax.Sparsemax()),
    (Quadratic(gamma=0.1), regmax.Sparsemax(0.1)),
    (Entropy(), regmax.Softmax()),
    (Entropy(gamma=0.1), regmax.Softmax(0.1)),
    (PNorm(p=1.5), regmax.Pnormmax(1.5)),
    (PNorm(p=3.0, gamma=0.5), regmax.Pnormmax(3.0, 0.5)),
    (Form(form=np.eye(6)), regmax.Sparsemax()),
    (Fused(lam=0.3), regmax.Fusedmax(0.3)),
    (FusedForm(form=np.eye(6), lam=0.3, gamma=0.5), regmax.Fusedmax(0.3, 0.5)),
]
every_twin = pytest.mark.parametrize(("own", "twin"), TWINS, ids=[f"{a.name} {b!r}" for a, b in TWINS])
every_kind = pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.name)


def scores(n=6, rows=5, seed=1):
    return 1.5 * np.random.default_rng(seed).normal(size=(rows, n))


@every_twin
def test_the_weights_of_the_twin(own, twin):
    for family, x in families(6, rows=2).items():
        y, other = own(x), twin(x)
        # The weight of an entry at the threshold is a root of the gap.
        loose = own.name == "own_pnorm" and own.p > 2
        np.testing.assert_allclose(y, other, atol=1e-5 if loose else 1e-8, err_msg=family)
        assert not y[np.isneginf(x)].any()


@every_twin
def test_the_derivatives_of_the_twin(own, twin):
    x, v = scores(), scores(seed=2)
    y = twin(x)
    np.testing.assert_allclose(own.jacobian(y, v, x=x), twin.jacobian(y, v, x=x), atol=2e-8)
    mine, other = own.parameter_vjp(x, y, v), twin.parameter_vjp(x, y, v)
    for name in mine:
        assert mine[name] == pytest.approx(other[name], abs=1e-7), name


@every_twin
def test_max_loss_and_certificate_of_the_twin(own, twin):
    x = scores()
    y = twin(x)
    shift = own.value(np.eye(6)[0]) - twin.value(np.eye(6)[0])
    np.testing.assert_allclose(own.max(x) + shift * twin.gamma, twin.max(x), rtol=1e-9)
    np.testing.assert_allclose(own.loss(x, [0, 1, 2, 3, 4]), twin.loss(x, [0, 1, 2, 3, 4]), atol=1e-9)
    assert np.all(own.certify(x, y).gap <= 1e-12)
    even = np.full_like(x, 1 / 6)
    assert np.all(own.certify(x, even).gap >= own.loss(x, even) - 1e-12)


@every_kind
@pytest.mark.parametrize("n", [1, 2, 9])
def test_gap_and_domain(kind, n):
    for operator in kind.samples(n):
        for family, x in families(n, rows=2).items():
            y = operator(x)
            found = operator.certify(x, y)
            assert np.max(found.feasibility) <= 4 * np.sqrt(n) * np.finfo(float).eps, family
            assert np.max(found.gap / scale_of(operator, x, y)) <= kind.tolerance, family


@every_kind
def test_verified(kind):
    report = verify(kind, sizes=(2, 5), rows=2)
    assert report.passed, str(report)


def test_check_judges_a_stranger():
    assert check(lambda x: regmax.softmax(x), Entropy(), sizes=(1, 4)).passed
    assert not check(lambda x: regmax.sparsemax(x), Entropy(), sizes=(4,)).passed


@every_kind
def test_witness(kind):
    if not kind._writes("as_cvxpy"):
        with pytest.raises(NotImplementedError, match=f"^{kind.name}: as_cvxpy must be written"):
            kind().problem(scores()[0])
        return
    for operator in kind.samples(6):
        x = scores(rows=2)
        x[1, 2] = -np.inf
        y = operator(x)
        np.testing.assert_allclose(y, [witness.argmax(operator, row) for row in x], atol=2e-5)


@every_kind
def test_against_the_slow_way(kind):
    operator = kind.samples(5)[0]
    x = scores(5, 2)
    for row, y in zip(x, operator(x), strict=True):

        def objective(d, row=row):
            return row @ d - operator.gamma * operator.value(d)

        slow = reference.random_search(objective, 5)
        assert -1e-12 <= objective(y) - objective(slow) <= 1e-3


@every_kind
def test_rows_without_an_answer(kind):
    operator = kind.samples(4)[-1]
    x = np.array([[1.0, np.nan, 0, 0], [np.inf, 0, 0, 0], [-np.inf] * 4, [0.5, 0.1, 0.2, 0.3]])
    y = operator(x)
    assert np.isnan(y[:2]).all()
    assert not y[2].any()
    np.testing.assert_array_equal(y[3], operator(x[3]))
    gap = operator.certify(x, y).gap
    assert np.isnan(gap[:2]).all() or not np.isfinite(gap[:2]).all()
    assert operator.max(x)[2] == -np.inf


@every_kind
def test_arrays_axes_and_dtypes(kind):
    operator = kind.samples(4)[0]
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    y = operator.argmax(x, axis=1)
    np.testing.assert_array_equal(y[1, :, 2], operator(x[1, :, 2]))
    for dtype, tolerance in ((np.float32, 1e-6), (np.float16, 1e-3)):
        narrow = operator.argmax(x.astype(dtype), axis=1)
        assert narrow.dtype == dtype
        np.testing.assert_allclose(narrow, operator.argmax(x.astype(dtype).astype(float), axis=1), atol=tolerance)


def test_parameters_per_row():
    x = scores(6, 3)
    lam, gamma = np.array([0.1, 0.5, 2.0]), np.array([1.0, 0.3, 0.7])
    several = Fused(gamma=gamma, lam=lam)
    for r in range(3):
        one = Fused(gamma=gamma[r], lam=lam[r])
        np.testing.assert_array_equal(several(x)[r], one(x[r]))
    slopes = several.parameter_vjp(x, several(x), x)
    assert slopes["lam"].shape == slopes["gamma"].shape == (3,)


def test_masks_break_edges():
    x = np.array([1.0, -np.inf, 0.2, 0.1, 0.9, 0.3])
    for own in (Fused(lam=0.2), EntropyOnGraph(edges=RING, lam=0.2)):
        y = own(x)
        assert y[1] == 0
        v = np.arange(6.0)
        assert own.jacobian(y, v, x=x)[1] == 0
        again = own(np.where(np.isneginf(x), 0.0, x), where=~np.isneginf(x))
        np.testing.assert_array_equal(y, again)


def test_ties_move_together():
    x = np.array([1.0, 0.9, -1.0, 0.2, 0.21, 0.22])
    own = EntropyOnGraph(edges=RING, lam=0.3)
    y = own(x)
    jv = own.jacobian(y, np.eye(6)[3], x=x)
    together = np.abs(np.diff(y)) < 1e-9
    assert together.any()
    np.testing.assert_allclose(np.diff(jv)[together], 0, atol=1e-9)


def test_long_rows_by_conjugate_gradients():
    n = LARGEST + 76
    x, v = np.random.default_rng(0).normal(size=(2, n))
    y = Entropy()(x)
    np.testing.assert_allclose(Entropy().jacobian(y, v), regmax.Softmax().jacobian(y, v), atol=1e-9)
    with pytest.raises(ValueError, match=f"^own_fused: the Jacobian with a penalty takes at most {LARGEST} entries"):
        Fused().jacobian(y, v, x=x)


def test_column_keeps_digits_at_tiny_weights():
    y = np.array([1.0 - 1e-9, 1e-9])
    assert solver.column(lambda w: w, y, 1)[1] == pytest.approx(1, rel=1e-9)
    assert solver.column(np.log, y, 1)[1] == pytest.approx(1e9, rel=1e-7)


def test_not_converging_is_said(monkeypatch):
    monkeypatch.setattr(splitting, "CAP", 2)
    monkeypatch.setattr(splitting, "_FORWARD_CAP", 2)
    x = scores(9, 1)
    own = FusedForm(form=100 * positive(9), lam=0.05)
    with pytest.warns(regmax.ConvergenceWarning, match=r"^own_fused_form: 1 of 1 rows did not converge"):
        y = own(x)
    assert own.certify(x, y).gap[0] > 1e-9
    assert own.certify(x, y).feasibility[0] <= 1e-15


def test_the_jacobian_needs_scores_and_a_solution():
    x = scores()
    y = Fused()(x)
    with pytest.raises(TypeError, match=r"^own_fused: the Jacobian with a penalty depends on the scores"):
        Fused().jacobian(y, x)
    with pytest.raises(ValueError, match=r"^own_fused: the Jacobian with a penalty needs the weights that solve"):
        Fused().jacobian(np.eye(6)[:5] * 0.5 + 0.5 / 6, x, x=10 * x)


def test_a_flat_omega_has_no_jacobian():
    flat = Form(form=np.diag([1.0, 0, 0]))
    with pytest.raises(ValueError, match=r"^own_form: the Jacobian needs a smooth part that curves"):
        flat.jacobian([0.2, 0.4, 0.4], [1.0, 0, 0])
    assert flat.certify([0.0, 0, 0], flat([0.0, 0, 0])).error_bound == np.inf


@pytest.fixture
def registry(monkeypatch):
    """Classes that a test defines are forgotten after it."""
    monkeypatch.setattr(Regularizer, "_registry", dict(Regularizer._registry))


def test_defining_registers(registry):
    assert not {kind.name for kind in OWN} & set(regmax.operators())

    @dataclass(frozen=True, eq=False)
    class New(Quadratic):
        name = "own_new"

    assert regmax.operators()["own_new"] is New
    assert verify("own_new", sizes=(3,), rows=1).passed


def written(registry_name="own_bad", **hooks):
    """A class with these hooks."""
    return dataclass(frozen=True, eq=False)(type("Bad", (Quadratic,), {"name": registry_name, **hooks}))


BAD = [
    ({"smooth_gradient": lambda self, y, live: y[:2]}, r"own_bad: smooth_gradient must return shape \(6,\), that of y"),
    ({"smooth_gradient": lambda self, y, live: y * np.nan}, "own_bad: smooth_gradient must return finite numbers"),
    (
        {"smooth_gradient": lambda self, y, live: -np.inf * y},
        "own_bad: smooth_gradient must return finite .*, got -inf",
    ),
    ({"smooth_hessian": lambda self, y, v, live: 1.0}, r"own_bad: smooth_hessian must return shape \(6,\)"),
    (
        {"penalty": lambda self, y, live: 0.0, "penalty_prox": lambda self, v, step, live: v[None]},
        r"own_bad: penalty_prox must return shape \(6,\)",
    ),
    (
        {"penalty": lambda self, y, live: y, "penalty_prox": lambda self, v, step, live: v},
        r"own_bad: penalty must return one number, got shape \(6,\)",
    ),
    ({"smooth_gradient": lambda self, y, live: y + 0j}, "own_bad: smooth_gradient must return real .*, got complex128"),
    ({"smooth_gradient": lambda self, y, live: None}, "own_bad: smooth_gradient must return real numbers, got None"),
    ({"smooth_gradient": lambda self, y, live: "1"}, "own_bad: smooth_gradient must return real numbers, got str"),
    ({"smooth_gradient": lambda self, y, live: y.astype(object)}, "own_bad: smooth_gradient must .*, got object"),
    ({"smooth_gradient": lambda self, y, live: [y, 1.0]}, "own_bad: smooth_gradient must return numbers, got a ragged"),
]


@pytest.mark.parametrize(("hooks", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_bad_answers(registry, hooks, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}") as caught:
        written(**hooks)().argmax(scores())
    assert "\n" not in str(caught.value)


def test_bad_values(registry):
    with pytest.raises(ValueError, match=r"^own_bad: smooth must return one number, got shape \(6,\)"):
        written(smooth=lambda self, y, live: y)().max(scores())
    with pytest.raises(ValueError, match=r"^own_worse: smooth must return a number, got nan"):
        written("own_worse", smooth=lambda self, y, live: np.nan)().value(np.full(6, 1 / 6))


def test_missing_hooks(registry):
    with pytest.raises(TypeError, match=r"^Bad: penalty_prox must be written, because penalty is"):
        written(penalty=lambda self, y, live: 0.0)()
    with pytest.raises(TypeError, match=r"^GenericRegularizer: name must be set in the class"):
        regmax.GenericRegularizer()

    @dataclass(frozen=True, eq=False)
    class Empty(regmax.GenericRegularizer):
        name = "own_empty"

    with pytest.raises(TypeError, match=r"Empty: smooth must be written"):
        Empty()

    @dataclass(frozen=True, eq=False)
    class Plain(Quadratic):
        name = "own_plain"
        lam: float = 0.1

    with pytest.raises(TypeError, match=r"Plain: lam must be declared as a parameter, with a rule"):
        Plain()

    @dataclass(frozen=True)
    class Compared(Quadratic):
        name = "own_compared"

    class Undecorated(Quadratic):
        name = "own_undecorated"
        lam: float = parameter(0.1, NON_NEGATIVE)

    for kind, named in ((Compared, {}), (Undecorated, {"lam": 0.2})):
        with pytest.raises(TypeError, match=rf"{kind.__name__}: the class must be decorated with @dataclass\(frozen"):
            kind(**named)


def test_the_first_position_is_the_subclass_own():
    own = PNorm(3.0, gamma=0.5)
    assert (own.p, own.gamma) == (3.0, 0.5)
    assert repr(own) == "PNorm(gamma=0.5, p=3.0)"
    assert pickle.loads(pickle.dumps(own)) == own
    with pytest.raises(TypeError, match="positional argument"):
        Quadratic(0.5)


def test_a_hook_that_writes_hurts_nobody(registry):
    def overwritten(self, y, live):
        found = y.copy()
        y[:], live[:] = np.nan, False
        return found

    x = scores()
    x[:, 1] = -np.inf
    writes = written(smooth_gradient=overwritten)()
    np.testing.assert_array_equal(writes(x), Quadratic()(x))
    np.testing.assert_array_equal(writes.certify(x, writes(x)).gap, Quadratic().certify(x, writes(x)).gap)


def variation(self, y, live):
    return 0.1 * np.sum(np.abs(np.diff(y))[live[1:] & live[:-1]])


CONTRADICTIONS = [
    ({"smooth_gradient": lambda self, y, live: 2 * y}, "smooth_gradient must be the gradient of smooth, which rises"),
    ({"smooth": lambda self, y, live: 0.0}, "smooth_gradient must be the gradient of smooth, which rises by 0 where"),
    ({"smooth_hessian": lambda self, y, v, live: 2 * v}, "smooth_hessian must be the derivative of smooth_gradient"),
    ({"strong_convexity": 1e9}, "strong_convexity must be at most 1, that of Omega between two points, got 1e+09"),
    (
        {"penalty": variation, "penalty_prox": lambda self, v, step, live: v},
        "penalty_prox must minimise |d - v|^2 / 2 + step penalty(d), but",
    ),
    (
        {"penalty": variation, "penalty_prox": lambda self, v, step, live: regmax.prox.tv(v, 0.1 * step)},
        "penalty_prox must minimise |d - v|^2 / 2 + step penalty(d), but",  # it forgets which entries are masked
    ),
]


@pytest.mark.parametrize(("hooks", "sentence"), CONTRADICTIONS, ids=range(len(CONTRADICTIONS)))
def test_hooks_that_contradict_each_other_fail(registry, hooks, sentence):
    kind = written(**hooks)
    report = verify(kind, case="own_bad/0/5/hooks/float64/plain")
    said = [failure for failure in report.failures if sentence in failure.what]
    assert len(said) == 1
    assert said[0].line == 'regmax.verify.verify(Bad, case="own_bad/0/5/hooks/float64/plain")'
    again = eval(said[0].line, {"regmax": regmax, "Bad": kind})
    assert said[0].what in [failure.what for failure in again.failures]


@every_kind
def test_good_hooks_do_not_contradict_each_other(kind):
    assert not [said for n in (2, 5, 12) for own in kind.samples(n) for said in own.contradictions(n, seed=1)]


def test_an_omega_that_is_not_convex_fails(registry):
    down = {"smooth": lambda self, y, live: -0.5 * y @ y, "smooth_gradient": lambda self, y, live: -y}
    kind = written(**down, strong_convexity=0.0, as_cvxpy=lambda self, y, live: -0.5 * (y @ y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", regmax.ConvergenceWarning)
        said = "".join(failure.what for failure in verify(kind, sizes=(3,), rows=2).failures)
    assert "own_bad: the Jacobian needs a smooth part that curves" in said
    assert "own_bad: Omega must be convex, but half way between two points" in said
    assert "own_bad: CVXPY must see that Omega is convex" in said


def test_lines_of_a_stranger_name_the_class_of_the_user():
    lines = [
        check(lambda x: regmax.sparsemax(x), asked, sizes=(4,), rows=1).failures[0].line
        for asked in (Entropy, Entropy(gamma=0.5))
    ]
    assert [re.match(r"(.*), case=", line)[1] for line in lines] == [
        "regmax.verify.check(solver, Entropy",
        "regmax.verify.check(solver, Entropy(gamma=0.5)",
    ]


def test_derivatives_in_arrays_of_parameters(registry):
    @dataclass(frozen=True, eq=False)
    class Costs(regmax.GenericRegularizer):
        name = "own_costs"

        costs: np.ndarray = parameter(1.0, POSITIVE, "item")
        weights: np.ndarray = parameter(None, NON_NEGATIVE, "edge", optional=True)

        def smooth(self, y, live):
            return 0.5 * np.sum(self.costs * y**2)

        def smooth_gradient(self, y, live):
            return np.where(live, self.costs * y, 0.0)

        def penalty(self, y, live):
            return np.sum((self.weights * np.abs(np.diff(y)))[live[1:] & live[:-1]])

        def penalty_prox(self, v, step, live):
            return regmax.prox.tv(v, step, weights=self.weights, where=live)

        @classmethod
        def samples(cls, n):
            return (cls(costs=np.linspace(0.5, 2, n), weights=np.linspace(0.1, 0.3, n - 1) if n > 1 else np.empty(0)),)

    report = verify(Costs, sizes=(2, 5), rows=2)
    assert report.passed, str(report)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = scores(5, 2)
        own = Costs.samples(5)[0]
        assert own.parameter_vjp(x, own(x), x)["costs"].shape == (5,)
