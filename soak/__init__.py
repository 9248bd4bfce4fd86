"""The long suite: every promise of docs/robustness.md measured again. ``make soak``; one part: ``ONLY=kills``."""
