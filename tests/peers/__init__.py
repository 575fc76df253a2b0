"""Values and derivatives beside those of PyTorch: the development group `python -m tests.peers`.

A row (`row.py`) names a function of graphc and one of PyTorch over the same operands; an area is a
module with a function `rows()`, or with `cases()` where a state is followed over steps. Every op,
public function, layer, loss, optimiser and schedule has a row, or a reason why none has an
equivalent (`coverage.py`). PyTorch is imported by those who compare alone: the rows are listed, and
the coverage is tested, without it.
"""
