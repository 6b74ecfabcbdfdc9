select
    value,
    account_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'accounts__project_ids') }}
