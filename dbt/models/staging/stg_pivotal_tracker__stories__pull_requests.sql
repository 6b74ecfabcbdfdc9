select
    id,
    number,
    kind,
    owner,
    repo,
    host_url,
    original_url,
    status,
    created_at,
    updated_at,
    story_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'stories__pull_requests') }}
