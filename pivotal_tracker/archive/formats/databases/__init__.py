"""Read the SQLite files of storyexporter and pivotal-tracker-dump."""
