-- Who reviewed most?
SELECT
    coalesce(person.name, person.username) AS reviewer,
    count(*) AS reviews,
    count(*) FILTER (WHERE review.status = 'pass') AS passed,
    count(*) FILTER (WHERE review.status = 'revise') AS sent_back
FROM stories__reviews AS review
JOIN people AS person ON person.id = review.reviewer_id
GROUP BY ALL
ORDER BY reviews DESC, reviewer;
