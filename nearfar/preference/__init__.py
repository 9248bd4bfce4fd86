"""Policies from comparisons: language models and agents that learn which of two answers people prefer."""
