"""The passes of graphc, and the one list of the order in which they run.

A pass is a pure function in a file named after what it does. Here each is one line of `PIPELINE`,
with its kind and the reason for its place. `exact` passes change no bit of any result;
`reassociating` ones hold in real arithmetic only and run when the user allows it. A `Compilation`
carries what is known so far from pass to pass; nothing else is passed along.
"""
