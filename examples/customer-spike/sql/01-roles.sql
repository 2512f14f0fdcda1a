-- Who may do what. Names and passwords come from the files of $SECRETS_DIR (see ../../lib/secrets).
--
-- The role that captures has LOGIN, REPLICATION, USAGE and SELECT: it owns neither the table nor the publication.
\set ON_ERROR_STOP on
\set app_password `cat "$SECRETS_DIR/CRM_APP_PASSWORD"`
\set customer_user `cat "$SECRETS_DIR/CUSTOMER_DB_USER"`
\set customer_password `cat "$SECRETS_DIR/CUSTOMER_DB_PASSWORD"`
\set copy_user `cat "$SECRETS_DIR/COPY_DB_USER"`
\set copy_password `cat "$SECRETS_DIR/COPY_DB_PASSWORD"`

CREATE ROLE crm_app LOGIN PASSWORD :'app_password';
CREATE ROLE :"customer_user" LOGIN REPLICATION PASSWORD :'customer_password';
CREATE ROLE :"copy_user" LOGIN PASSWORD :'copy_password';

CREATE DATABASE crm OWNER crm_app;
CREATE DATABASE crm_copy;
