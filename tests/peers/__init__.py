"""Values and derivatives beside those of PyTorch: the development group `python -m tests.peers`.

A row (`row.py`) names a function of graphc and one of PyTorch over the same operands; an area is a
module with a function `rows()`. Every op, public function, layer, loss, optimiser and schedule has
a row, or a reason why nothing is equivalent (`coverage.py`). PyTorch is imported where a row is
computed, and nowhere else: without it the rows can be listed all the same.
"""
