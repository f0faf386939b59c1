"""Potentials in simulation engines other than ASE; each module imports its engine, which is to be installed."""
