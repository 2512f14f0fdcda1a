-- The shop: orders, what was ordered, and the books. Run after 01-roles.sql.
\set ON_ERROR_STOP on
\set ecom_user `cat "$SECRETS_DIR/ECOM_DB_USER"`
\connect ecomdb
SET ROLE bookstore_app;

CREATE TABLE public.books (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  title          text NOT NULL,
  author         text NOT NULL,
  price          numeric(10,2) NOT NULL CHECK (price > 0),
  description    text,
  cover_url      text,
  isbn           text UNIQUE,
  genre          text,
  published_year int,
  created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE public.orders (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id    bigint NOT NULL,
  total      numeric(12,2) NOT NULL DEFAULT 0,
  status     text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'PAID', 'SHIPPED', 'CANCELLED')),
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE public.order_items (
  id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id          bigint NOT NULL REFERENCES public.orders,
  book_id           bigint NOT NULL REFERENCES public.books,
  quantity          int NOT NULL CHECK (quantity > 0),
  price_at_purchase numeric(10,2) NOT NULL
);

INSERT INTO public.books (title, author, price, description, isbn, genre, published_year) VALUES
  ('The Lighthouse Keeper''s Log', 'M. Harrow',     14.50, 'A year of weather, ships and letters that were not sent.', '978-0-00-000001-8', 'Fiction',  1998),
  ('Small Engines',                'P. Okafor',     22.00, 'Taking things apart, and most of them together again.',    '978-0-00-000002-5', 'Craft',    2011),
  ('Bread in Four Hours',          'L. Marchetti',  18.75, NULL,                                                       '978-0-00-000003-2', 'Cooking',  2017),
  ('A Field Guide to Clouds',      'S. Lindqvist',  27.90, 'With 214 drawings.',                                       '978-0-00-000004-9', 'Nature',   2004),
  ('Night Trains',                 'D. Vasquez',    12.99, 'Eleven stories between two stations.',                     '978-0-00-000005-6', 'Fiction',  2020),
  ('The Arithmetic of Rivers',     'H. Nakamura',   34.00, 'How water counts.',                                        '978-0-00-000006-3', 'Science',  2013),
  ('Letters to a Locksmith',       'E. Brandt',     16.20, NULL,                                                       NULL,                'Fiction',  1986),
  ('Gardens on Slopes',            'R. Achterberg', 29.95, 'Terraces, walls and what grows on them.',                  '978-0-00-000008-7', 'Nature',   2009),
  ('Forty Soups',                  'L. Marchetti',  15.00, 'One for every week that deserves it.',                     '978-0-00-000009-4', 'Cooking',  2021),
  ('The Quiet Compiler',           'T. Ferreira',   42.50, 'A language from nothing, in one winter.',                  '978-0-00-000010-0', 'Computing', 2019),
  ('Maps That Were Wrong',         'C. Dubois',     24.40, 'Islands that nobody found twice.',                         '978-0-00-000011-7', 'History',  2001),
  ('Tide Tables',                  'M. Harrow',      9.80, NULL,                                                       '978-0-00-000012-4', 'Poetry',   1995);

GRANT USAGE ON SCHEMA public TO :"ecom_user";
GRANT SELECT ON public.orders, public.order_items, public.books TO :"ecom_user";
CREATE PUBLICATION debezium_ecom_pub FOR TABLE public.orders, public.order_items, public.books;
