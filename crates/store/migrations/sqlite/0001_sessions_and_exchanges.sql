CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    mode TEXT NOT NULL,
    target TEXT,
    port INTEGER,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    stopped_at BIGINT,
    entries BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    keeps_credentials BIGINT NOT NULL
);

CREATE INDEX sessions_by_age ON sessions (created_at);

CREATE TABLE exchanges (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    method TEXT NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    status BIGINT,
    kind TEXT NOT NULL,
    duration_us BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    failure TEXT,
    segment BIGINT NOT NULL,
    block BIGINT NOT NULL,
    place BIGINT NOT NULL,
    PRIMARY KEY (session, sequence)
) WITHOUT ROWID;

CREATE INDEX exchanges_by_id ON exchanges (id);
