select
    id,
    story_id,
    epic_id,
    person_id,
    kind,
    text,
    commit_identifier,
    commit_type,
    external_source,
    external_author,
    external_link,
    created_at,
    updated_at,
    project_id,
    _dlt_list_idx
from {{ source('pivotal_tracker', 'epics__comments') }}
