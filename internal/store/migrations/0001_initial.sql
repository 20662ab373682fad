-- +goose Up

-- One text for SQLite and PostgreSQL. Times are unix milliseconds. Lists and option sets are JSON text.
-- BYTEA columns hold what the vault sealed, bound to its table, column and row key; nothing secret stands in any other column.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- epoch rises with every revocation, deletion and policy write of the account. The operator's account is the first of the installation; it makes the others.
CREATE TABLE accounts (
    account    TEXT NOT NULL PRIMARY KEY,
    operator   BOOLEAN NOT NULL,
    epoch      BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Accounts that are being deleted, and those that were: their ids do not come back. shredded_at is set when their keysets are gone.
CREATE TABLE account_deletions (
    account      TEXT NOT NULL PRIMARY KEY,
    requested_by TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    shredded_at  BIGINT NOT NULL
);

-- id is random per key material: what one keyset sealed is not taken for the work of its successor. key_id is the key that seals it, '' the
-- key-encryption key. version rises with every sealing.
CREATE TABLE keysets (
    account    TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    id         TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    PRIMARY KEY (account, purpose)
);

-- uri is where the key is, '' when material holds it. resource is what the URI names, however it is reached and in whatever version: a key elsewhere is
-- registered once, so it belongs to one account. A key that was here leaves its row, without material. version rises with every change of state.
CREATE TABLE keys (
    account    TEXT NOT NULL,
    id         TEXT NOT NULL,
    usage      TEXT NOT NULL,
    spec       TEXT NOT NULL,
    uri        TEXT NOT NULL,
    resource   TEXT NOT NULL,
    material   BYTEA,
    client_id  TEXT NOT NULL,
    state      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX keys_resource ON keys (resource) WHERE resource <> '';

-- Keys by which the account, as an issuer, signs ID tokens. public_key is a JWK. Of an algorithm the latest generation signs whose signs_at has come;
-- the one before stays until its last token has ended.
CREATE TABLE issuer_keys (
    account    TEXT NOT NULL,
    id         TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    generation BIGINT NOT NULL,
    public_key TEXT NOT NULL,
    material   BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    signs_at   BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX issuer_keys_generation ON issuer_keys (account, algorithm, generation);

-- id is random per creation, here and in roles. tags is a JSON object.
CREATE TABLE users (
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    id         TEXT NOT NULL,
    tags       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- max_session is in seconds. Sessions of an earlier generation, or issued up to revoked_before, count no more.
CREATE TABLE roles (
    account        TEXT NOT NULL,
    name           TEXT NOT NULL,
    id             TEXT NOT NULL,
    description    TEXT NOT NULL,
    trust_policy   TEXT NOT NULL,
    every_subject  BOOLEAN NOT NULL,
    max_session    BIGINT NOT NULL,
    generation     BIGINT NOT NULL,
    revoked_before BIGINT NOT NULL,
    tags           TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- principal is user/NAME or role/NAME.
CREATE TABLE principal_policies (
    account    TEXT NOT NULL,
    principal  TEXT NOT NULL,
    name       TEXT NOT NULL,
    document   TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, principal, name)
);

-- An access key id alone finds its account: it is the first thing a request shows. used_at is at most a minute or so behind, 0 when the key was never used.
CREATE TABLE access_keys (
    access_key_id TEXT NOT NULL PRIMARY KEY,
    account       TEXT NOT NULL,
    user_name     TEXT NOT NULL,
    secret        BYTEA NOT NULL,
    active        BOOLEAN NOT NULL,
    used_at       BIGINT NOT NULL,
    used_service  TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX access_keys_user ON access_keys (account, user_name);

-- user_key_claims are the claims that, with the issuer, make the key of a user. It is read when a user comes; keys in rows stay what they are.
CREATE TABLE trusted_issuers (
    account         TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    audiences       TEXT NOT NULL,
    user_key_claims TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (account, issuer)
);

-- CA certificates of SPIFFE trust domains, in DER, one behind the other.
CREATE TABLE trust_bundles (
    account      TEXT NOT NULL,
    domain       TEXT NOT NULL,
    certificates BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (account, domain)
);

CREATE TABLE token_vaults (
    account     TEXT NOT NULL,
    id          TEXT NOT NULL,
    modified_at BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

-- incarnation is random per creation: handles and grants of a deleted namesake carry another.
CREATE TABLE workload_identities (
    account                 TEXT NOT NULL,
    name                    TEXT NOT NULL,
    incarnation             TEXT NOT NULL,
    return_urls             TEXT NOT NULL,
    complete_by_session_uri BOOLEAN NOT NULL,
    created_at              BIGINT NOT NULL,
    updated_at              BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- A provider's secret is sealed here, or kept elsewhere under an id, as the member json_key; then the sealed column is NULL. Without either, both are ''.
-- generation is random per change of issuer, endpoint host or client id. assertion_key is the id of the key that signs client assertions, or '';
-- assertion_claims are what they say beside what they must. registration_token manages a client that registered itself (RFC 7592), NULL for others.
-- version rises with every update.
CREATE TABLE oauth2_providers (
    account                TEXT NOT NULL,
    name                   TEXT NOT NULL,
    incarnation            TEXT NOT NULL,
    generation             TEXT NOT NULL,
    callback_id            TEXT NOT NULL,
    vendor                 TEXT NOT NULL,
    config                 TEXT NOT NULL,
    client_secret          BYTEA,
    client_secret_id       TEXT NOT NULL,
    client_secret_json_key TEXT NOT NULL,
    assertion_key          TEXT NOT NULL,
    assertion_claims       BYTEA,
    registration_token     BYTEA,
    created_at             BIGINT NOT NULL,
    updated_at             BIGINT NOT NULL,
    version                BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX oauth2_providers_callback ON oauth2_providers (callback_id);

CREATE TABLE apikey_providers (
    account          TEXT NOT NULL,
    name             TEXT NOT NULL,
    incarnation      TEXT NOT NULL,
    api_key          BYTEA,
    api_key_id       TEXT NOT NULL,
    api_key_json_key TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- secret and signing_key are, by vendor, the API key's secret and the wallet secret, or the app's secret and the authorization private key.
CREATE TABLE payment_providers (
    account              TEXT NOT NULL,
    name                 TEXT NOT NULL,
    incarnation          TEXT NOT NULL,
    config               TEXT NOT NULL,
    secret               BYTEA,
    secret_id            TEXT NOT NULL,
    secret_json_key      TEXT NOT NULL,
    signing_key          BYTEA,
    signing_key_id       TEXT NOT NULL,
    signing_key_json_key TEXT NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    version              BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- id alone finds its account: it is part of the portal's URL. version rises with every update.
CREATE TABLE consent_portals (
    account              TEXT NOT NULL,
    id                   TEXT NOT NULL,
    name                 TEXT NOT NULL,
    description          TEXT NOT NULL,
    execution_role       TEXT NOT NULL,
    provider             TEXT NOT NULL,
    provider_incarnation TEXT NOT NULL,
    scopes               TEXT NOT NULL,
    audience             TEXT NOT NULL,
    source               TEXT NOT NULL,
    workload             TEXT NOT NULL,
    workload_incarnation TEXT NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    version              BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX consent_portals_id ON consent_portals (id);
CREATE UNIQUE INDEX consent_portals_name ON consent_portals (account, name);

-- resource is an ARN without its account and region part: workload-identity-directory/default/workload-identity/NAME.
CREATE TABLE tags (
    account  TEXT NOT NULL,
    resource TEXT NOT NULL,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (account, resource, name)
);

-- grant_key is the broker's digest over everything that two requests must share to share a token.
-- keyset is the id of the keyset that sealed the row. proof_key is the private key that the tokens are bound to (RFC 9449), or NULL. intent_at is set while a refresh token may be at the vendor and its outcome is not yet written here.
-- device is set when the consent was given by a device authorization. A grant that is revoked has no tokens and no key, and ended at expires_at.
-- failures counts the refreshes in a row that came to nothing. No refresh is tried before retry_at; at renew_at one is due without being asked for, 0 when
-- none is: both by the database's clock. used_at is when somebody was last known to be served.
CREATE TABLE grants (
    account              TEXT NOT NULL,
    grant_key            TEXT NOT NULL,
    flow                 TEXT NOT NULL,
    workload             TEXT NOT NULL,
    workload_incarnation TEXT NOT NULL,
    provider             TEXT NOT NULL,
    provider_incarnation TEXT NOT NULL,
    provider_generation  TEXT NOT NULL,
    user_key             TEXT NOT NULL,
    device               BOOLEAN NOT NULL,
    keyset               TEXT NOT NULL,
    user_name            BYTEA,
    access_token         BYTEA,
    refresh_token        BYTEA,
    proof_key            BYTEA,
    token_type           TEXT NOT NULL,
    asked_scopes         TEXT NOT NULL,
    granted_scopes       TEXT NOT NULL,
    token_scopes         TEXT NOT NULL,
    resources            TEXT NOT NULL,
    audiences            TEXT NOT NULL,
    state                TEXT NOT NULL,
    last_error           TEXT NOT NULL,
    obtained_at          BIGINT NOT NULL,
    expires_at           BIGINT NOT NULL,
    intent_at            BIGINT NOT NULL,
    failures             BIGINT NOT NULL,
    retry_at             BIGINT NOT NULL,
    renew_at             BIGINT NOT NULL,
    used_at              BIGINT NOT NULL,
    created_at           BIGINT NOT NULL,
    version              BIGINT NOT NULL,
    PRIMARY KEY (account, grant_key)
);
CREATE INDEX grants_workload ON grants (account, workload_incarnation);
CREATE INDEX grants_provider ON grants (account, provider_incarnation);
CREATE INDEX grants_user ON grants (account, user_key);
CREATE INDEX grants_expiry ON grants (expires_at) WHERE refresh_token IS NULL;
CREATE INDEX grants_renewal ON grants (renew_at) WHERE renew_at <> 0;

-- id and completion_id are digests: whoever reads the table can neither open nor complete a session. device_interval is the least time between two polls of the
-- vendor, 0 unless the session is a device authorization; device_poll_at is the next, by the database's clock, 0 when there is none.
CREATE TABLE authorization_sessions (
    account              TEXT NOT NULL,
    id                   TEXT NOT NULL,
    workload             TEXT NOT NULL,
    workload_incarnation TEXT NOT NULL,
    provider             TEXT NOT NULL,
    provider_incarnation TEXT NOT NULL,
    provider_generation  TEXT NOT NULL,
    user_key             TEXT NOT NULL,
    grant_key            TEXT NOT NULL,
    return_url           TEXT NOT NULL,
    keyset               TEXT NOT NULL,
    request              BYTEA NOT NULL,
    state                TEXT NOT NULL,
    reason               TEXT NOT NULL,
    completion_id        TEXT,
    code                 BYTEA,
    device_interval      BIGINT NOT NULL,
    device_poll_at       BIGINT NOT NULL,
    created_at           BIGINT NOT NULL,
    expires_at           BIGINT NOT NULL,
    version              BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX authorization_sessions_device ON authorization_sessions (device_poll_at) WHERE device_poll_at <> 0;
CREATE UNIQUE INDEX authorization_sessions_id ON authorization_sessions (id);
CREATE UNIQUE INDEX authorization_sessions_completion ON authorization_sessions (completion_id);
CREATE INDEX authorization_sessions_workload ON authorization_sessions (account, workload_incarnation);
CREATE INDEX authorization_sessions_provider ON authorization_sessions (account, provider_incarnation);
CREATE INDEX authorization_sessions_grant ON authorization_sessions (account, grant_key);
CREATE INDEX authorization_sessions_expiry ON authorization_sessions (expires_at);

-- An outbox: tokens whose grant is gone, and whose vendor has still to be told. What is sealed keeps the seal of the grant and the provider that it was of,
-- and config is the provider's as it was then. When state is not pending any more, nothing sealed is left. next_at is by the database's clock.
-- intent_at is set while a refresh or exchange that was under way may still bring tokens of the same grant, 1 when that will never be known. outcome is what the vendor was told, '' until then: a
-- revocation is finished when all those of its grant have one.
CREATE TABLE revocations (
    account              TEXT NOT NULL,
    id                   TEXT NOT NULL,
    cause                TEXT NOT NULL,
    grant_key            TEXT NOT NULL,
    flow                 TEXT NOT NULL,
    workload             TEXT NOT NULL,
    provider             TEXT NOT NULL,
    provider_incarnation TEXT NOT NULL,
    provider_generation  TEXT NOT NULL,
    user_key             TEXT NOT NULL,
    user_name            BYTEA,
    access_token         BYTEA,
    refresh_token        BYTEA,
    proof_key            BYTEA,
    expires_at           BIGINT NOT NULL,
    intent_at            BIGINT NOT NULL,
    vendor               TEXT NOT NULL,
    config               TEXT NOT NULL,
    client_secret        BYTEA,
    client_secret_id     TEXT NOT NULL,
    client_secret_json_key TEXT NOT NULL,
    assertion_key        TEXT NOT NULL,
    assertion_claims     BYTEA,
    state                TEXT NOT NULL,
    outcome              TEXT NOT NULL,
    attempts             BIGINT NOT NULL,
    next_at              BIGINT NOT NULL,
    last_error           TEXT NOT NULL,
    created_at           BIGINT NOT NULL,
    finished_at          BIGINT NOT NULL,
    version              BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX revocations_grant ON revocations (account, grant_key);
CREATE INDEX revocations_due ON revocations (next_at) WHERE state = 'pending';
CREATE INDEX revocations_finished ON revocations (finished_at) WHERE state <> 'pending';

-- While a row stands here, nothing is issued to whom it names: the account itself (id ''), a workload identity or provider by name, or a user by key.
CREATE TABLE freezes (
    account    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    user_name  BYTEA,
    reason     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, kind, id)
);

-- What may be had at most: of a provider, or by a workload identity, by name. It outlives what it names, so that nobody gets rid of it by making that anew.
CREATE TABLE ceilings (
    account    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    document   BYTEA NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, kind, name)
);

-- Whom an account wants told what becomes of its grants. id is random per creation. event_types is '[]' for all. previous_secret signs, too, until previous_until.
CREATE TABLE webhooks (
    account         TEXT NOT NULL,
    name            TEXT NOT NULL,
    id              TEXT NOT NULL,
    url             TEXT NOT NULL,
    event_types     TEXT NOT NULL,
    secret          BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_until  BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- An outbox: what a webhook has still to be told, written together with the change that it tells of. user_name keeps the seal of the grant. id sorts by time, and is
-- the same in every attempt. next_at is by the database's clock.
CREATE TABLE webhook_deliveries (
    account     TEXT NOT NULL,
    webhook     TEXT NOT NULL,
    id          TEXT NOT NULL,
    event_type  TEXT NOT NULL,
    grant_key   TEXT NOT NULL,
    workload    TEXT NOT NULL,
    provider    TEXT NOT NULL,
    user_name   BYTEA,
    reason      TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    next_at     BIGINT NOT NULL,
    last_error  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    PRIMARY KEY (account, webhook, id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at) WHERE state <> 'pending';

-- Where people of an account sign in to the console. incarnation changes with the issuer and the client: sessions of another one are over. client_secret is NULL of a
-- public client.
CREATE TABLE sign_in_providers (
    account       TEXT NOT NULL,
    name          TEXT NOT NULL,
    incarnation   TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    client_secret BYTEA,
    scopes        TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- What a browser of somebody at the console stands for: an answer of a provider that came (attempt), roles to pick one of (choice), or a session. id is a digest of what
-- the browser has; provider is '' of a session by access key.
CREATE TABLE console_sessions (
    account              TEXT NOT NULL,
    id                   TEXT NOT NULL,
    kind                 TEXT NOT NULL,
    provider             TEXT NOT NULL,
    provider_incarnation TEXT NOT NULL,
    content              BYTEA NOT NULL,
    expires_at           BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX console_sessions_expired ON console_sessions (expires_at);

-- A lease is held until held_until by the database's clock. fence rises with every change of hands.
CREATE TABLE leases (
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    fence      BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

-- An inbox: one row holds the events, one JSON object a line, that one write made durable. They leave it when they are entries of their account's log, in the same
-- transaction: whatever is here is in no tree yet, however late it came.
CREATE TABLE audit_batches (
    account    TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    events     BYTEA NOT NULL,
    PRIMARY KEY (account, id)
);

-- The transparency log of an account. origin is its name, verifier_key and signer are its keys; checkpoint is signed for size entries. Of those before first,
-- only hashes are left. cosigned is the last checkpoint that every sink has, with the signatures of witnesses. Outlives its account.
CREATE TABLE audit_logs (
    account      TEXT NOT NULL PRIMARY KEY,
    origin       TEXT NOT NULL,
    verifier_key TEXT NOT NULL,
    signer       BYTEA NOT NULL,
    size         BIGINT NOT NULL,
    first        BIGINT NOT NULL,
    checkpoint   BYTEA NOT NULL,
    cosigned     BYTEA,
    created_at   BIGINT NOT NULL
);

-- Entries from start on, as a bundle of c2sp.org/tlog-tiles; no chunk goes over a multiple of 256. first_at and last_at are the bounds of their times.
CREATE TABLE audit_chunks (
    account  TEXT NOT NULL,
    start    BIGINT NOT NULL,
    count    BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    entries  BYTEA NOT NULL,
    PRIMARY KEY (account, start)
);
CREATE INDEX audit_chunks_time ON audit_chunks (account, last_at);

-- Which chunks have entries with a value in a field.
CREATE TABLE audit_terms (
    account TEXT NOT NULL,
    field   TEXT NOT NULL,
    value   TEXT NOT NULL,
    start   BIGINT NOT NULL,
    PRIMARY KEY (account, field, value, start)
);

-- Hashes of the tree (c2sp.org/tlog-tiles): as many of a tile as there are.
CREATE TABLE audit_tiles (
    account TEXT NOT NULL,
    level   BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    hashes  BYTEA NOT NULL,
    PRIMARY KEY (account, level, n)
);
