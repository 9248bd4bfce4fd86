"""One file per method of control."""
