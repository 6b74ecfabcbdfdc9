select
    id,
    kind,
    owner,
    repo,
    name,
    host_url,
    original_url,
    created_at,
    updated_at,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__branches') }}
