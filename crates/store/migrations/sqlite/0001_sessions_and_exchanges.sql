CREATE TABLE sessions (
    -- What rows of other tables name a session by; the identifier is three times as long. Never used again.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    mode TEXT NOT NULL,
    target TEXT,
    port BIGINT,
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
    session BIGINT NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    id BLOB NOT NULL,
    started_at BIGINT NOT NULL,
    connection BIGINT NOT NULL,
    method TEXT NOT NULL,
    -- 0 http, 1 https
    scheme BIGINT NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    query TEXT,
    status BIGINT,
    -- 0 http, 1 websocket, 2 sse
    kind BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    media_type TEXT,
    failure TEXT,
    -- 0 upstream, 1 mock, 2 proxy
    answered_by BIGINT NOT NULL,
    graphql TEXT,
    segment BIGINT NOT NULL,
    block BIGINT NOT NULL,
    place BIGINT NOT NULL,
    PRIMARY KEY (session, sequence)
) WITHOUT ROWID;

-- The only other one: each index is paid for with every exchange.
CREATE INDEX exchanges_by_id ON exchanges (id);
