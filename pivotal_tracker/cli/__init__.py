"""The parts of the command: how a run is carried out, watched, and told of."""
