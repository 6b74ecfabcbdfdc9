"""Reading from a server: resources, change detection, deletions, shards."""
