-- The table that one would make of the same events: a chain of hashes for each token, kept by a
-- trigger, and the usual indexes.
CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    token text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    outcome text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    issuer text,
    client text,
    session text,
    subject text,
    resource text,
    policy text,
    scopes text,
    expires_at timestamptz,
    previous_hash bytea,
    hash bytea NOT NULL,
    -- Also what keeps two writers from forking a chain: the second one fails.
    UNIQUE (token, sequence)
);
CREATE INDEX ON events (resource, occurred_at) WHERE resource IS NOT NULL;
CREATE INDEX ON events (subject, occurred_at) WHERE subject IS NOT NULL;
-- For the last state of a token without its uses.
CREATE INDEX ON events (token, sequence) WHERE type NOT IN ('USED', 'RESOURCE_ACCESSED');

CREATE FUNCTION chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last_sequence bigint;
    last_hash bytea;
BEGIN
    SELECT e.sequence, e.hash INTO last_sequence, last_hash
        FROM events e WHERE e.token = NEW.token ORDER BY e.sequence DESC LIMIT 1;
    NEW.sequence := coalesce(last_sequence + 1, 0);
    NEW.previous_hash := last_hash;
    NEW.hash := sha256(coalesce(last_hash, ''::bytea) || convert_to(concat_ws('|',
        NEW.event_id, NEW.token, NEW.sequence, NEW.type, NEW.outcome, NEW.occurred_at,
        NEW.recorded_at, NEW.issuer, NEW.client, NEW.session, NEW.subject, NEW.resource,
        NEW.policy, NEW.scopes, NEW.expires_at), 'UTF8'));
    RETURN NEW;
END
$$;
CREATE TRIGGER chain BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION chain();
