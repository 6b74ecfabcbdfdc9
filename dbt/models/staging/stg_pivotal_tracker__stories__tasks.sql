select
    id,
    position,
    kind,
    description,
    complete,
    created_at,
    updated_at,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__tasks') }}
