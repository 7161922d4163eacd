"""Many seeds at once: what `mpiolab sweep` does.

job.py        what is run for a seed: a swarm scenario, or one scenario file
row.py        what is kept of a seed
one_seed.py   running one, within a bound of wall-clock time
elsewhere.py  running it again in a process with another PYTHONHASHSEED
worker.py     a chunk of seeds in a worker process
pools.py      worker processes on this machine, or a dask cluster
runner.py     seeds handed out, what crashed told apart, rows handed back
store.py      the DuckDB file
summary.py    what came out of it all
"""
