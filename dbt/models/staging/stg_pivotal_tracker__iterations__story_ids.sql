select
    value,
    iteration_number,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'iterations__story_ids') }}
