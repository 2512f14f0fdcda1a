-- The copy. Run after 01-roles.sql.
\set ON_ERROR_STOP on
\set copy_user `cat "$SECRETS_DIR/COPY_DB_USER"`
\connect crm_copy

CREATE TABLE public.customer (
  id         uuid PRIMARY KEY,
  -- Stricter than the source: what it refuses shows how an error is told, counted and traced.
  email      text NOT NULL CONSTRAINT email_has_an_at CHECK (email LIKE '%@%'),
  status     text NOT NULL,
  updated_at timestamptz NOT NULL
);
GRANT USAGE ON SCHEMA public TO :"copy_user";
GRANT SELECT, INSERT, UPDATE, DELETE ON public.customer TO :"copy_user";

-- Where the sink keeps which offsets it has applied, in the transaction of the rows: nothing is applied twice.
CREATE SCHEMA cdc AUTHORIZATION :"copy_user";

-- Each transaction of the sink is marked with where it comes from, so that a capture of this database can leave it out.
GRANT EXECUTE ON FUNCTION pg_replication_origin_oid(text), pg_replication_origin_create(text),
  pg_replication_origin_session_setup TO :"copy_user";
