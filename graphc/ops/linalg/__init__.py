"""The ops of linear algebra: factorisations and what is solved with them, each over the last two axes and batched in front."""
