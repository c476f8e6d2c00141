"""torch.func as its tutorial computes the kernel: per-point Jacobians, contracted parameter by parameter."""

from collections.abc import Callable
from functools import partial

import problems
import torch
from torch.func import jacrev, vmap

Params = list[tuple[torch.Tensor, torch.Tensor]]


def jacobian(N: int, width: int) -> Callable[[], torch.Tensor]:
    params = [(torch.from_numpy(W), torch.from_numpy(b)) for W, b in problems.parameters(width)]
    return partial(kernel, params, torch.from_numpy(problems.points(N)))


def output(params: Params, point: torch.Tensor) -> torch.Tensor:
    alpha = point
    for layer, (W, b) in enumerate(params):
        alpha = W @ alpha / alpha.shape[0] ** 0.5 + problems.BETA * b
        if layer < len(params) - 1:
            alpha = torch.relu(alpha)
    return alpha[0]


def kernel(params: Params, x: torch.Tensor) -> torch.Tensor:
    derivatives = vmap(jacrev(output), (None, 0))(params, x)
    flat = [d.reshape(len(x), -1) for layer in derivatives for d in layer]
    return sum((d @ d.T for d in flat), start=torch.zeros(len(x), len(x)))
