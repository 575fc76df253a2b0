"""Backends: each turns a plan (kernels and a memory plan, never a graph) into something that runs.

`llvm` makes native code for the CPU, `opencl` runs the same kernels on a GPU, `reference`
interprets. Importing this package imports none of them; each holds one `BACKEND` (see
`graphc.executable`).
"""
