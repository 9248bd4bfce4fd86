"""Rows of preference alignment."""
