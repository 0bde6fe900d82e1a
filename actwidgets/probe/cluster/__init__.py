"""Class profiles on a Dask cluster: what travels, what workers do, how states are merged."""
