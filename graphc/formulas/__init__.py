"""Elementary functions as straight-line scalar formulas, written over `graphc.scalar.Scalar`."""
