select
    value,
    workspace_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'workspaces__project_ids') }}
