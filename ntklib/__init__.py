r"""Neural tangent kernels, exact and small.

Conventions, the same in every function:

* Weights $W^{(\ell)}$ have shape $(n_{\ell+1}, n_\ell)$; points are rows, (N, n_0); outputs (N, n_L), also for n_L = 1.
* Depth L counts affine maps; $\Sigma^{(1)}$ is the kernel of the inputs.
* The input measure is empirical: $\|f\|^2 = \frac1N \sum_i \|f(x_i)\|^2$, costs carry $\frac1N$.
* Time is learning rate × steps.
* $\Theta_{kk'}(x, x')$ is stored as (N, M, n_L, n_L).
* `y=None` means the same points as x.
"""

from ntklib import plots, results
from ntklib.activations import Activation, dual, dual_dot, erf, relu
from ntklib.data import circle
from ntklib.dynamics import kernel_gradient, square_cost, train
from ntklib.empirical import empirical_ntk, empirical_ntk_full, jacobian_ntk, linearize
from ntklib.limit import Kernels, kernels_by_layer, ntk, ntk_diagonal, sigma
from ntklib.mlp import MLP, Forward, Layer, Params, apply, forward, init

__all__ = [
    "MLP",
    "Activation",
    "Forward",
    "Kernels",
    "Layer",
    "Params",
    "apply",
    "circle",
    "dual",
    "dual_dot",
    "empirical_ntk",
    "empirical_ntk_full",
    "erf",
    "forward",
    "init",
    "jacobian_ntk",
    "kernel_gradient",
    "kernels_by_layer",
    "linearize",
    "ntk",
    "ntk_diagonal",
    "plots",
    "relu",
    "results",
    "sigma",
    "square_cost",
    "train",
]
__version__ = "0.1.0"
