-- The replica that reports are made of. Run after 01-roles.sql.
--
-- No foreign keys: the four tables are filled from four topics, so an item may come before its order, and either before
-- its book. Rows that the shop deletes stay here.
\set ON_ERROR_STOP on
\set analytics_user `cat "$SECRETS_DIR/ANALYTICS_DB_USER"`
\connect analytics

CREATE TABLE public.fact_orders (
  id         bigint PRIMARY KEY,
  user_id    bigint,
  total      numeric(12,2),
  status     text,
  created_at timestamptz
);
CREATE TABLE public.fact_order_items (
  id                bigint PRIMARY KEY,
  order_id          bigint,
  book_id           bigint,
  quantity          int,
  price_at_purchase numeric(10,2)
);
CREATE TABLE public.dim_books (
  id             bigint PRIMARY KEY,
  title          text,
  author         text,
  price          numeric(10,2),
  description    text,
  cover_url      text,
  isbn           text,
  genre          text,
  published_year int,
  created_at     timestamptz
);
CREATE TABLE public.fact_inventory (
  book_id    bigint PRIMARY KEY,
  quantity   int,
  reserved   int,
  updated_at timestamptz
);

-- What sold: at the price that was paid, without orders that were cancelled.
CREATE VIEW public.vw_product_sales_volume AS
  SELECT b.id AS book_id, b.title, b.author, b.genre,
         sum(i.quantity) AS units_sold,
         sum(i.quantity * i.price_at_purchase) AS revenue
  FROM public.fact_order_items i
  JOIN public.dim_books b ON b.id = i.book_id
  JOIN public.fact_orders o ON o.id = i.order_id
  WHERE o.status <> 'CANCELLED'
  GROUP BY b.id, b.title, b.author, b.genre;

-- What was ordered on each day (in UTC), whatever became of it.
CREATE VIEW public.vw_sales_over_time AS
  SELECT (o.created_at AT TIME ZONE 'UTC')::date AS day,
         count(*) AS orders,
         sum(o.total) AS daily_revenue
  FROM public.fact_orders o
  GROUP BY 1
  ORDER BY 1;

GRANT USAGE ON SCHEMA public TO :"analytics_user";
GRANT SELECT, INSERT, UPDATE ON public.fact_orders, public.fact_order_items, public.dim_books, public.fact_inventory
  TO :"analytics_user";

-- Each transaction of the sink is marked with where it comes from, so that a capture of this database can leave it out.
GRANT EXECUTE ON FUNCTION pg_replication_origin_oid(text), pg_replication_origin_create(text),
  pg_replication_origin_session_setup TO :"analytics_user";
