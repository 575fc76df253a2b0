"""An embedding, which gathers rows of a table, and its gradient, which adds rows into one."""

from typing import Any

import numpy as np

from benchmarks.work import Array, Work, integers, normal

ROWS, COLUMNS, TOKENS = 30_000, 256, 4096


def add_rows(ids: Array, updates: Array) -> Array:
    """Return a table of zeros with each update added to the row of its id."""
    table = np.zeros((ROWS, COLUMNS))
    np.add.at(table, ids, updates)
    return table


def scatter_for_graphc(g: Any) -> Any:
    """The gradient of the embedding with respect to its table."""

    def scatter(ids: Any, updates: Any) -> Any:
        table = g.zeros((ROWS, COLUMNS))
        return g.gradients(g.take(table, ids, axis=0), [table], [updates])[0]

    return scatter


TABLE, IDS, TAKEN = f"float[{ROWS},{COLUMNS}]", f"int64[{TOKENS}]", f"float[{TOKENS},{COLUMNS}]"

GATHER = Work(
    name="embedding 4096 of 30000x256",
    inputs=lambda: [normal(ROWS, COLUMNS), integers(ROWS, TOKENS)],
    numpy=lambda table, ids: table[ids],
    graphc=lambda g: lambda table, ids: g.take(table, ids, axis=0),
    torch=lambda torch: lambda table, ids: torch.nn.functional.embedding(ids, table),
    jax=lambda jax: lambda table, ids: jax.numpy.take(table, ids, axis=0, mode="clip"),
    onnx=f"({TABLE} table, {IDS} ids) => ({TAKEN} y) {{ y = Gather <axis = 0> (table, ids) }}",
    moved=8 * TOKENS * COLUMNS,
    bar=1.2,
)
SCATTER = Work(
    name="embedding gradient 4096 of 30000x256",
    inputs=lambda: [integers(ROWS, TOKENS), normal(TOKENS, COLUMNS)],
    numpy=add_rows,
    graphc=scatter_for_graphc,
    torch=lambda torch: lambda ids, updates: torch.zeros(ROWS, COLUMNS).index_add_(0, ids, updates),
    jax=lambda jax: (
        lambda ids, updates: jax.numpy.zeros((ROWS, COLUMNS)).at[ids].add(updates, mode="drop")
    ),
    onnx=f"""({IDS} ids, {TAKEN} updates) => ({TABLE} y)
        <int64[2] shape = {{{ROWS},{COLUMNS}}}, int64[1] last = {{-1}}> {{
            zeros = ConstantOfShape <value = float[1] {{0.0}}> (shape)
            places = Unsqueeze(ids, last)
            y = ScatterND <reduction = "add"> (zeros, places, updates)
        }}""",
    moved=4 * (ROWS + 3 * TOKENS) * COLUMNS,
    bar=1.2,
)
WORKS = [GATHER, SCATTER]
