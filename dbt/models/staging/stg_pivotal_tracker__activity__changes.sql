select
    id,
    number,
    kind,
    change_type,
    name,
    story_type,
    story_priority,
    new_values,
    original_values,
    activity_guid,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'activity__changes') }}
