select
    id,
    person_id,
    kind,
    description,
    resolved,
    created_at,
    updated_at,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__blockers') }}
