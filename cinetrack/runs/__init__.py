"""One way to run the cases of a dataset, which every command over datasets takes.

`shard` deals the cases out to processes, `jobs` does what is not done yet, one bad case never
ending the rest (`failure`, which also knows the exit code), `progress` tells how far it is, `record` says what was run
on a case. `processes` are the worker processes of what needs no model, `outputs` the checks before the work begins.
"""
