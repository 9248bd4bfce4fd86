"""Counting what a phrase names: pictures with phrases and points, drawn or read, and how counts are judged."""
