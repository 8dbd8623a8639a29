"""Derivatives as graphs: reverse and forward mode, vmap, Jacobians and Hessians, sparsity, and their check."""
