"""The command: options, one run of the pipeline, its summary and notifications."""
