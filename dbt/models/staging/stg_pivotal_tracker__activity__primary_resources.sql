select
    id,
    kind,
    name,
    story_type,
    url,
    story_priority,
    activity_guid,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'activity__primary_resources') }}
