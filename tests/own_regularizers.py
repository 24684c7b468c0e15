"""Regularizers as a user would write them; they are taken out of the registry again, which is for what regmax ships."""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

import regmax
from regmax._regularizer import Regularizer
from regmax.authoring import ABOVE_ONE, NON_NEGATIVE, edges_parameter, parameter, structure

__all__ = ["OWN", "Entropy", "EntropyOnGraph", "Form", "Fused", "FusedForm", "PNorm", "Pulled", "Quadratic", "positive"]


def _matrix(owner, name, value):
    return np.array(value, dtype=float)


@dataclass(frozen=True, eq=False)
class Quadratic(regmax.GenericRegularizer):
    """Sparsemax."""

    name = "own_quadratic"
    strong_convexity = 1.0

    def smooth(self, y, live):
        return 0.5 * y @ y

    def smooth_gradient(self, y, live):
        return y

    def as_cvxpy(self, y, live):
        import cvxpy

        return 0.5 * cvxpy.sum_squares(y)


@dataclass(frozen=True, eq=False)
class Entropy(regmax.GenericRegularizer):
    """Softmax."""

    name = "own_entropy"
    strong_convexity = 1.0

    def smooth(self, y, live):
        return np.sum(xlogy(y, y))

    def smooth_gradient(self, y, live):
        return np.log(y) + 1

    def as_cvxpy(self, y, live):
        import cvxpy

        return -cvxpy.sum(cvxpy.entr(y))


@dataclass(frozen=True, eq=False)
class PNorm(regmax.GenericRegularizer):
    """Pnormmax."""

    name = "own_pnorm"

    p: float = parameter(1.5, ABOVE_ONE)

    def smooth(self, y, live):
        return 0.5 * np.sum(np.abs(y) ** self.p) ** (2 / self.p)

    def smooth_gradient(self, y, live):
        y = np.where(live, y, 0.0)
        return y ** (self.p - 1) * np.sum(y**self.p) ** (2 / self.p - 1)

    @classmethod
    def samples(cls, n):
        return (cls(), cls(p=3.0), cls(p=2.0, gamma=0.3))


def positive(n, seed=5):
    """A positive definite matrix that no permutation leaves as it is."""
    root = np.random.default_rng(seed).normal(size=(n, n))
    return root @ root.T / n + 0.1 * np.eye(n)


@dataclass(frozen=True, eq=False)
class Form(regmax.GenericRegularizer):
    """A quadratic form ``y^T A y / 2``."""

    name = "own_form"

    form: np.ndarray = structure(None, _matrix)

    def smooth(self, y, live):
        return 0.5 * y @ self.form @ y

    def smooth_gradient(self, y, live):
        return self.form @ y

    def smooth_hessian(self, y, v, live):
        return self.form @ v

    @property
    def strong_convexity(self):
        return float(np.linalg.eigvalsh(self.form)[0])

    def as_cvxpy(self, y, live):
        import cvxpy

        return 0.5 * cvxpy.quad_form(y, cvxpy.psd_wrap(self.form))

    @classmethod
    def samples(cls, n):
        return (cls(form=positive(n)),)


@dataclass(frozen=True, eq=False)
class Fused(Quadratic):
    """Fusedmax."""

    name = "own_fused"

    lam: float = parameter(0.1, NON_NEGATIVE)

    def penalty(self, y, live):
        return self.lam * np.sum(np.abs(np.diff(y))[live[1:] & live[:-1]])

    def penalty_prox(self, v, step, live):
        return regmax.prox.tv(v, step * self.lam, where=live)

    def as_cvxpy(self, y, live):
        import cvxpy

        joined = (live[1:] & live[:-1]).astype(float)
        return super().as_cvxpy(y, live) + self.lam * (joined @ cvxpy.abs(cvxpy.diff(y)) if y.shape[0] > 1 else 0.0)

    @classmethod
    def samples(cls, n):
        return (cls(), cls(gamma=0.5, lam=1.0))


@dataclass(frozen=True, eq=False)
class EntropyOnGraph(Entropy):
    """Entropy, and total variation on a graph."""

    name = "own_entropy_on_graph"

    edges: np.ndarray = edges_parameter()
    lam: float = parameter(0.1, NON_NEGATIVE)

    def _kept(self, live):
        return self.edges[live[self.edges].all(axis=1)]

    def penalty(self, y, live):
        tail, head = self._kept(live).T
        return self.lam * np.sum(np.abs(y[tail] - y[head]))

    def penalty_prox(self, v, step, live):
        return regmax.prox.graph_tv(v, self.edges, step * self.lam, where=live)

    def as_cvxpy(self, y, live):
        import cvxpy

        tail, head = self._kept(live).T
        return super().as_cvxpy(y, live) + (self.lam * cvxpy.norm1(y[tail] - y[head]) if tail.size else 0.0)

    @classmethod
    def samples(cls, n):
        ring = np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)
        return (cls(edges=ring if n > 2 else ring[: n - 1]), cls(edges=ring[: n - 1], lam=0.5, gamma=0.7))


@dataclass(frozen=True, eq=False)
class FusedForm(Form):
    """A quadratic form and total variation: entries are not alike, so the prox of the scores does not decide."""

    name = "own_fused_form"

    lam: float = parameter(0.1, NON_NEGATIVE)

    penalty = Fused.penalty
    penalty_prox = Fused.penalty_prox

    def as_cvxpy(self, y, live):
        import cvxpy

        joined = (live[1:] & live[:-1]).astype(float)
        return super().as_cvxpy(y, live) + self.lam * (joined @ cvxpy.abs(cvxpy.diff(y)) if y.shape[0] > 1 else 0.0)


@dataclass(frozen=True, eq=False)
class Pulled(Quadratic):
    """Weights drawn to prices ``c``: a penalty that no order explains, so projecting after its prox would be wrong."""

    name = "own_pulled"

    lam: float = parameter(0.2, NON_NEGATIVE)

    @staticmethod
    def _target(n):
        return np.linspace(0.0, 0.4, n)

    def penalty(self, y, live):
        return self.lam * np.sum(np.abs(y - self._target(y.size))[live])

    def penalty_prox(self, v, step, live):
        away = v - self._target(v.size)
        return np.where(live, self._target(v.size) + np.sign(away) * np.maximum(np.abs(away) - step * self.lam, 0.0), 0)

    def as_cvxpy(self, y, live):
        import cvxpy

        return super().as_cvxpy(y, live) + self.lam * cvxpy.norm1((y - self._target(y.shape[0]))[live])


OWN = (Quadratic, Entropy, PNorm, Form, Fused, EntropyOnGraph, FusedForm, Pulled)
for _kind in OWN:
    del Regularizer._registry[_kind.name]
