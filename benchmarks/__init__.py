"""How fast a workspace is loaded: against dlt's generic source, and against the floor."""
