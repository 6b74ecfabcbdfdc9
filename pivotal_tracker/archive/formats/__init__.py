"""Readers, one module or package for each format: see `..format` for the protocol."""
