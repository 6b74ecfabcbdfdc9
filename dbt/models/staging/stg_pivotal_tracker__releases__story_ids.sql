select
    value,
    release_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'releases__story_ids') }}
