-- The customers. Run after 01-roles.sql.
\set ON_ERROR_STOP on
\set customer_user `cat "$SECRETS_DIR/CUSTOMER_DB_USER"`
\connect crm
SET ROLE crm_app;

CREATE TABLE public.customer (
  id         uuid PRIMARY KEY,
  email      text NOT NULL,
  status     text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);
-- The same fifty each time.
INSERT INTO public.customer (id, email, status)
  SELECT md5('customer ' || n)::uuid, 'customer' || n || '@example.com', (ARRAY['ACTIVE', 'ACTIVE', 'TRIAL', 'CLOSED'])[1 + n % 4]
  FROM generate_series(1, 50) AS n;

GRANT USAGE ON SCHEMA public TO :"customer_user";
GRANT SELECT ON public.customer TO :"customer_user";
-- What is not in the publication is not sent: other tables of this database stay where they are.
CREATE PUBLICATION customer_publication FOR TABLE public.customer;
