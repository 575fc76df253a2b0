"""A linear layer with softmax. Look inside it with the command line:

graphc explain examples/softmax.py:program
graphc draw examples/softmax.py:program -o softmax.svg
"""

import graphc

x = graphc.input((8, 16), name="x")
w = graphc.input((16, 8), name="w")
b = graphc.input((8,), name="b")
y = graphc.softmax(x @ w + b)
program = graphc.compile([y], inputs=[x, w, b], name="layer")
