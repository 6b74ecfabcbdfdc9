select
    id,
    project_id,
    kind,
    name,
    created_at,
    updated_at,
    release_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'releases__labels') }}
