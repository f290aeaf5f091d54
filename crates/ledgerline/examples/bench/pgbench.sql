\set token :client_id * 1000000 + random(1, 1000000)
INSERT INTO events (event_id, token, type, outcome, occurred_at, issuer, client, session, resource,
    policy)
VALUES (gen_random_uuid(), 'token-of-a-single-event-' || :token::text, 'RESOURCE_ACCESSED',
    'ALLOW', clock_timestamp(), 'idp', 'web', 's-17', '/single/' || (:token::int % 500)::text,
    'finance');
