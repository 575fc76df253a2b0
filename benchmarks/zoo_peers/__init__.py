"""What other libraries reach on the data of the zoo, for the same metrics.

A function of this package is the peer of the network whose name it has; it is told a seed and gives
a value. The packages that it needs are imported inside of it: scikit-learn from the extra
`examples`, and PyTorch, which `make bench` installs. The value for seed 0 stands in the network's
file as `peer`; it is measured when a network is added or changed, not when it runs.
"""
