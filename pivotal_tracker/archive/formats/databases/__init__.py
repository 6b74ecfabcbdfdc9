"""The SQLite files of storyexporter and pivotal-tracker-dump."""
