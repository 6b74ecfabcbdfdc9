"""From records to tables: Arrow tables, hints, and what the destination holds."""
