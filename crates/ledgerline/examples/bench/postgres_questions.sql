PREPARE life(text) AS SELECT * FROM events WHERE token = $1 ORDER BY sequence LIMIT 100;

-- The tokens of the first hundred accesses, each once, with birth and last state.
PREPARE visitors(text, timestamptz, timestamptz) AS
    SELECT page.token, birth.occurred_at, birth.client, birth.session, birth.subject, birth.policy,
        birth.scopes, birth.expires_at, state.type, state.occurred_at, state.position
    FROM (
        SELECT DISTINCT token FROM (
            SELECT token FROM events
            WHERE resource = $1 AND occurred_at >= $2 AND occurred_at < $3
            ORDER BY occurred_at LIMIT 100
        ) accesses
    ) page
    CROSS JOIN LATERAL (
        SELECT * FROM events e WHERE e.token = page.token ORDER BY sequence LIMIT 1
    ) birth
    CROSS JOIN LATERAL (
        SELECT * FROM events e
        WHERE e.token = page.token AND e.type NOT IN ('USED', 'RESOURCE_ACCESSED')
        ORDER BY sequence DESC LIMIT 1
    ) state;

PREPARE owned(text) AS
    SELECT birth.token, birth.occurred_at, birth.client, birth.session, birth.policy, birth.scopes,
        birth.expires_at, state.type, state.occurred_at, state.position
    FROM (
        SELECT * FROM events WHERE subject = $1 AND type = 'ISSUED' ORDER BY occurred_at LIMIT 100
    ) birth
    CROSS JOIN LATERAL (
        SELECT * FROM events e
        WHERE e.token = birth.token AND e.type NOT IN ('USED', 'RESOURCE_ACCESSED')
        ORDER BY sequence DESC LIMIT 1
    ) state;
