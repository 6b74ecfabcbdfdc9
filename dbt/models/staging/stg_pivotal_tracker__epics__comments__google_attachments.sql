select
    id,
    person_id,
    kind,
    google_kind,
    title,
    google_id,
    alternate_link,
    resource_id,
    comment_id,
    epic_id,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'epics__comments__google_attachments') }}
