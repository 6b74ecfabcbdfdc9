{{ config(enabled=var('pivotal_tracker_has_files', false)) }}
select
    source,
    kind,
    reason,
    {{ adapter.quote('where') }},
    {{ adapter.quote('rows') }},
    lost_values,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'load_report__left_out') }}
