select
    id,
    project_id,
    deleted_by_id,
    kind,
    change,
    activity_guid,
    deleted_at,
    found_at
from {{ source('pivotal_tracker', 'deleted_records') }}
