"""The zoo: the classic networks of a course, one file each, trained on real data.

Every file of this package is one network, found by its name; adding one is adding a file. What they
share (figures, diagrams, data) is in `graphc.zoo.shared`. `graphc zoo` lists and runs them.
"""
