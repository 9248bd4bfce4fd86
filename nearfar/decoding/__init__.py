"""Decoding: better answers of a language model by contrast, with little or no training."""
