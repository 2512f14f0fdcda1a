//! The demo's database: a small shop, and a writer that keeps changing it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use walspring_connect::threads;
use walspring_postgres_source::wire::{ConnectConfig, Connection, PgError};

pub const DATABASE: &str = "shop";

const SCHEMA: &str = "
CREATE TYPE order_status AS ENUM ('new', 'paid', 'sent', 'returned');
CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE,
  since timestamptz NOT NULL DEFAULT now());
CREATE TABLE products (sku text PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL, stock int NOT NULL,
  tags text[] NOT NULL DEFAULT '{}');
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int NOT NULL REFERENCES customers,
  status order_status NOT NULL DEFAULT 'new', total numeric(10,2) NOT NULL DEFAULT 0, note jsonb, placed timestamptz NOT NULL DEFAULT now());
CREATE TABLE order_lines (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, line int NOT NULL,
  sku text NOT NULL REFERENCES products, quantity int NOT NULL, PRIMARY KEY (order_id, line));
ALTER TABLE products REPLICA IDENTITY FULL;
ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO customers (name, email) VALUES ('Ada', 'ada@example.com'), ('Edgar', 'edgar@example.com'), ('Grace', 'grace@example.com');
INSERT INTO products VALUES ('TEA-1', 'Green tea', 4.50, 100, '{tea,green}'), ('CUP-2', 'Cup, blue', 7.95, 40, '{cup}'),
  ('POT-3', 'Teapot', 24.00, 12, '{tea,pot}'), ('HNY-4', 'Honey', 6.20, 60, '{}');
";

/// One step of the shop's day; each is a transaction. They follow each other in a circle.
const STEPS: [&str; 6] = [
    "WITH o AS (INSERT INTO orders (customer_id, note) SELECT id, '{\"gift\": true}' FROM customers ORDER BY random() LIMIT 1 RETURNING id)
     INSERT INTO order_lines SELECT o.id, row_number() OVER (), p.sku, 1 + (random() * 2)::int FROM o,
       (SELECT sku FROM products WHERE stock > 3 ORDER BY random() LIMIT 2) p",
    "WITH o AS (SELECT max(id) AS id FROM orders) UPDATE orders SET status = 'paid',
       total = (SELECT sum(l.quantity * p.price) FROM order_lines l JOIN products p USING (sku) WHERE l.order_id = orders.id)
     FROM o WHERE orders.id = o.id",
    "UPDATE products p SET stock = stock - l.quantity FROM order_lines l WHERE l.sku = p.sku AND l.order_id = (SELECT max(id) FROM orders)",
    "UPDATE orders SET status = 'sent' WHERE id = (SELECT max(id) FROM orders)",
    "INSERT INTO customers (name, email) SELECT n, lower(n) || (SELECT max(id) FROM customers) || '@example.com'
     FROM (VALUES ('Alan'), ('Barbara'), ('Donald'), ('Margaret')) AS v(n) ORDER BY random() LIMIT 1",
    "DELETE FROM orders WHERE id = (SELECT min(id) FROM orders) AND (SELECT count(*) FROM orders) > 5",
];

/// Makes the database with its first rows.
pub fn create(admin: &ConnectConfig) -> Result<ConnectConfig, PgError> {
    Connection::connect(admin)?.batch_execute(&format!("CREATE DATABASE {DATABASE}"))?;
    let mut config = admin.clone();
    config.dbname = DATABASE.to_owned();
    Connection::connect(&config)?.batch_execute(SCHEMA)?;
    Ok(config)
}

/// Keeps changing the shop until told to stop.
pub fn keep_changing(config: ConnectConfig, every: Duration, stop: Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
    threads::spawn_aside("shop", move || {
        let Ok(mut connection) = Connection::connect(&config) else { return };
        for step in STEPS.iter().cycle() {
            if stop.load(Ordering::Acquire) {
                return;
            }
            // The server goes first when the demo ends.
            if connection.batch_execute(step).is_err() && !connection.is_usable() {
                return;
            }
            std::thread::park_timeout(every);
        }
    })
}
