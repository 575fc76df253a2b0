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
from graphc.frontend.losses import cross_entropy, mse
from graphc.frontend.nn.attention_layers import (
    Embedding,
    MultiHeadAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from graphc.frontend.nn.convolution_layers import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
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
from graphc.frontend.nn.recurrent_layers import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Flatten",
    "GRUCell",
    "LSTMCell",
    "LeakyReLU",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "RNNCell",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "binary_cross_entropy_with_logits",
    "cosine_embedding",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "hinge",
    "huber",
    "initialisers",
    "kl_divergence",
    "layer_norm",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "mae",
    "mse",
    "multiclass_hinge",
    "negative_log_likelihood",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
from graphc.frontend.nn.normalisation_layers import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
)
from graphc.frontend.nn.pooling_layers import (
    AdaptiveAveragePool,
    AdaptiveMaxPool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)

__all__ = [
    "ELU", "GELU", "AdaptiveAveragePool", "AdaptiveMaxPool", "AveragePool", "BatchNorm", "Conv1d",
    "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Embedding",
    "Flatten", "GlobalAveragePool", "GlobalMaxPool", "GroupNorm", "InstanceNorm", "LayerNorm",
    "LeakyReLU", "Linear", "MaxPool", "Module", "MultiHeadAttention", "RMSNorm", "ReLU",
    "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "TransformerDecoderLayer",
    "TransformerEncoderLayer", "cross_entropy", "elu", "gelu", "initialisers", "layer_norm",
    "leaky_relu", "log_sigmoid", "log_softmax", "mse", "one_hot", "relu", "sigmoid", "silu",
    "softmax", "softplus", "tanh",
]  # fmt: skip
