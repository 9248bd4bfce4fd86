"""Contrast in agents, world models and solvers."""
