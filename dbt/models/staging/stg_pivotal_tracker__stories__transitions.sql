select
    project_version,
    performed_by_id,
    kind,
    state,
    occurred_at,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__transitions') }}
