-- Who may do what. Names and passwords come from the files of $SECRETS_DIR (see ../../lib/secrets).
--
-- One role owns the shop's databases and makes the publications. Those that capture have LOGIN, REPLICATION, USAGE and
-- SELECT, and nothing else: they own nothing and cannot write.
\set ON_ERROR_STOP on
\set app_password `cat "$SECRETS_DIR/BOOKSTORE_APP_PASSWORD"`
\set ecom_user `cat "$SECRETS_DIR/ECOM_DB_USER"`
\set ecom_password `cat "$SECRETS_DIR/ECOM_DB_PASSWORD"`
\set inventory_user `cat "$SECRETS_DIR/INVENTORY_DB_USER"`
\set inventory_password `cat "$SECRETS_DIR/INVENTORY_DB_PASSWORD"`
\set analytics_user `cat "$SECRETS_DIR/ANALYTICS_DB_USER"`
\set analytics_password `cat "$SECRETS_DIR/ANALYTICS_DB_PASSWORD"`

CREATE ROLE bookstore_app LOGIN PASSWORD :'app_password';
CREATE ROLE :"ecom_user" LOGIN REPLICATION PASSWORD :'ecom_password';
CREATE ROLE :"inventory_user" LOGIN REPLICATION PASSWORD :'inventory_password';
CREATE ROLE :"analytics_user" LOGIN PASSWORD :'analytics_password';

CREATE DATABASE ecomdb OWNER bookstore_app;
CREATE DATABASE inventorydb OWNER bookstore_app;
CREATE DATABASE analytics;
