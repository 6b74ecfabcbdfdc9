"""The readers, one module or package per format: see `archive.format` for the interface."""
