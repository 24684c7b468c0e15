"""Threads, processes and gradients that arrive late: what a training run does around the operators."""

import threading

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import regmax.adapters.torch as rt

from .cases import function, scores


class Rows(Dataset):
    def __init__(self):
        self.layer = rt.Fusedmax(lam=0.4, learn="lam")  # spawned workers get it by pickle

    def __len__(self):
        return 6

    def __getitem__(self, i):
        x = scores(200, seed=i).float().requires_grad_()
        y = self.layer(x)
        (g,) = torch.autograd.grad((y**2).sum(), x)
        return torch.cat([y.detach(), g])


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Python, about fork with threads
def test_workers_of_a_data_loader(method):
    rt.fusedmax(scores(5000))  # threads of ours are running
    loader = DataLoader(Rows(), num_workers=2, multiprocessing_context=method)
    for i, found in enumerate(loader):
        torch.testing.assert_close(found[0], Rows()[i], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["sparsemax", "entmax", "fusedmax", "oscarmax"])
def test_concurrent_autograd(name):
    f = function(name)
    x = scores(400).requires_grad_()
    (expected,) = torch.autograd.grad((f(x) ** 2).sum(), x)
    found = [None] * 8

    def work(i):
        leaf = x.detach().clone().requires_grad_()
        (f(leaf) ** 2).sum().backward()
        found[i] = leaf.grad

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for g in found:
        torch.testing.assert_close(g, expected, rtol=0, atol=0)


def test_threads_follow_torch(monkeypatch):
    from regmax.solvers import _threads

    seen = []
    real = _threads._run_on_pool
    monkeypatch.setattr(_threads, "_run_on_pool", lambda *a: (seen.append(a[-1]), real(*a))[1])
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            rt.sparsemax(scores(60000))
    finally:
        torch.set_num_threads(before)
    assert seen == [3]


def test_weights_may_not_be_written_before_the_backward():
    x = scores(3).requires_grad_()
    y = rt.sparsemax(x)
    y.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradients_reach_through_a_graph_kept_and_used_twice():
    x = scores(3).requires_grad_()
    y = (rt.entmax(x) ** 2).sum()
    (first,) = torch.autograd.grad(y, x, retain_graph=True)
    (second,) = torch.autograd.grad(y, x)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
