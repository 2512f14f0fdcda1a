-- The stock, in a database of its own: a book is known by its number only. Run after 01-roles.sql.
\set ON_ERROR_STOP on
\set inventory_user `cat "$SECRETS_DIR/INVENTORY_DB_USER"`
\connect inventorydb
SET ROLE bookstore_app;

CREATE TABLE public.inventory (
  book_id    bigint PRIMARY KEY,
  quantity   int NOT NULL CHECK (quantity >= 0),
  reserved   int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO public.inventory (book_id, quantity) SELECT n, 2000 FROM generate_series(1, 12) AS n;

GRANT USAGE ON SCHEMA public TO :"inventory_user";
GRANT SELECT ON public.inventory TO :"inventory_user";
CREATE PUBLICATION debezium_inventory_pub FOR TABLE public.inventory;
