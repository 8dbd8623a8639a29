"""Draws from densities: `nuts`, `hmc`, `langevin`, `metropolis`, each chain with its warm-up one native call; `ess`, `rhat`, `summary`."""

from graphc.infer.diagnostics import ess, rhat, summary
from graphc.infer.sampling import Samples, hmc, langevin, metropolis, nuts

__all__ = ["Samples", "ess", "hmc", "langevin", "metropolis", "nuts", "rhat", "summary"]
