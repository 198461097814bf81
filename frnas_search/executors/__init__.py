"""Where jobs run: a Dask cluster, or any executor in virtual time."""
