"""Which loop transformations with which sizes: the only place with tile numbers."""
