select
    kind,
    message,
    highlight,
    resource__id,
    resource__kind,
    resource__name,
    resource__story_type,
    resource__url,
    activity_guid,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'activity__secondary_resources') }}
