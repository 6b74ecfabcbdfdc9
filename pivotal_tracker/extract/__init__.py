"""What is read of each project, and when: resources, change detection, deletions, shards."""
