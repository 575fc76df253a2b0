"""Neural networks: modules, layers, activations as functions, losses, and initialisers."""

from graphc.frontend import initialisers
from graphc.frontend.class_losses import (
    cross_entropy,
    kl_divergence,
    multiclass_hinge,
    negative_log_likelihood,
)
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
from graphc.frontend.losses import (
    binary_cross_entropy_with_logits,
    cosine_embedding,
    cosine_similarity,
    hinge,
    huber,
    mae,
    mse,
)
from graphc.frontend.nn.containers import ModuleDict, ModuleList, Residual
from graphc.frontend.nn.dropout import Dropout, Dropout1d, Dropout2d, dropout
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
    "ELU", "GELU", "Dropout", "Dropout1d", "Dropout2d", "Flatten", "LeakyReLU", "Linear",
    "Module", "ModuleDict", "ModuleList", "ReLU", "Residual", "Sequential", "SiLU", "Sigmoid",
    "Softmax", "Softplus", "Tanh", "binary_cross_entropy_with_logits", "cosine_embedding",
    "cosine_similarity", "cross_entropy", "dropout", "elu", "gelu", "hinge", "huber",
    "initialisers", "kl_divergence", "layer_norm", "leaky_relu", "log_sigmoid", "log_softmax",
    "mae", "mse", "multiclass_hinge", "negative_log_likelihood", "one_hot", "relu", "sigmoid",
    "silu", "softmax", "softplus", "tanh",
]  # fmt: skip
