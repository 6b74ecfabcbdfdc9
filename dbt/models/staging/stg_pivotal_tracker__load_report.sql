{{ config(enabled=var('pivotal_tracker_has_files', false)) }}
select
    source,
    format,
    kind,
    rows_read,
    rows_loaded,
    rows_left_out
from {{ source('pivotal_tracker', 'load_report') }}
