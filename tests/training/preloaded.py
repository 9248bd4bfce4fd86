"""Imported once by the server that forks processes for ``tests.training.forked``; starts no threads."""

import sklearn.datasets  # noqa: F401

import nearfar.cli.options
import nearfar.cli.train
import nearfar.vision.data
import nearfar.vision.methods
import nearfar.workflow  # noqa: F401
