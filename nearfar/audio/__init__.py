"""Sounds, as a field: recordings, voices, and sounds with captions."""
