select
    value,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__owner_ids') }}
