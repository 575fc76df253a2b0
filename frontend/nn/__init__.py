"""Neural networks: modules, layers, activations as functions, losses, and initialisers."""

from graphc.frontend import initialisers
from graphc.frontend.composites import (
    elu,
    gelu,
    layer_norm,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    silu,
    softmax,
    softplus,
)
from graphc.frontend.elementwise import sigmoid, tanh
from graphc.frontend.indexing import one_hot
from graphc.frontend.losses import cross_entropy, mse
from graphc.frontend.nn.containers import ModuleDict, ModuleList, Residual
from graphc.frontend.nn.layers import (
    ELU,
    GELU,
    Flatten,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from graphc.frontend.nn.module import Module

__all__ = [
    "ELU", "GELU", "Flatten", "LeakyReLU", "Linear", "Module", "ModuleDict", "ModuleList", "ReLU",
    "Residual", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "cross_entropy",
    "elu", "gelu", "initialisers", "layer_norm", "leaky_relu", "log_sigmoid", "log_softmax", "mse",
    "one_hot", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh",
]  # fmt: skip
