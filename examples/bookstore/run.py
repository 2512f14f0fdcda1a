"""Starts the bookstore and keeps it busy until Ctrl-C, which takes everything down again.

usage: run [--embedded] [--rate ORDERS_A_SECOND] [--orders N] [--postgres URL]

--embedded    without Kafka: topics are kept in the worker's own log
--orders N    stop ordering after so many (0: nothing but what is there); everything stays up
--postgres    a superuser's URL of a server that runs already, with wal_level=logical. drop.sql removes what is made there

WALSPRING names the program, else it is built.
"""
import argparse, sys, time

from setup import Bookstore
from shop import Shop

from machine import end_on_signals

PLACES = """
The bookstore is open.

  REST        {rest}/connectors?expand=status
  metrics     {rest}/metrics
  {topics}
  databases   {postgres}/ecomdb  …/inventorydb  …/analytics
  worker log  {log}

Try, in another terminal:

  psql {postgres}/analytics -c 'SELECT title, units_sold, revenue FROM vw_product_sales_volume ORDER BY revenue DESC'
  psql {postgres}/analytics -c 'SELECT * FROM vw_sales_over_time'
  psql {postgres}/ecomdb -c "UPDATE books SET price = price + 1 WHERE id = 1"

Ctrl-C takes everything down.
"""


def arguments():
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--rate", type=float, default=2)
    parser.add_argument("--orders", type=int, default=-1)
    parser.add_argument("--postgres")
    return parser.parse_args()


def places(store):
    w, pg = store.worker, store.postgres
    topics = f"Kafka       {store.kafka.address}, read with {w.program} tail TOPIC --bootstrap {store.kafka.address}" if store.kafka else \
        f"topics      {w.url}/v1/topics, or {w.program} tail TOPIC --data-dir {w.env['WALSPRING_DATA_DIR']}"
    print(PLACES.format(rest=w.url, topics=topics, log=w.log, postgres=f"postgres://{pg.user}@{pg.host}:{pg.port}"), flush=True)


def watch(analytics):
    sold, revenue = analytics.execute("SELECT coalesce(sum(units_sold), 0), coalesce(sum(revenue), 0) FROM vw_product_sales_volume").fetchone()
    orders, = analytics.execute("SELECT count(*) FROM fact_orders").fetchone()
    print(f"analytics: {orders} orders, {sold} books sold for {revenue}", flush=True)


def main():
    wanted = arguments()
    end_on_signals()
    with Bookstore(wanted.embedded, 5433, 9092, 8083, postgres_url=wanted.postgres) as store:
        try:
            print("starting PostgreSQL," + ("" if wanted.embedded else " Kafka,") + " the worker and the connectors ...", flush=True)
            store.start()
            print(store.register(), end="")
            places(store)
            shop, analytics, placed = Shop(store.owner("ecomdb"), store.owner("inventorydb")), store.postgres.connect("analytics"), 0
            while True:
                some = 10 if wanted.orders < 0 else min(10, wanted.orders - placed)
                shop.business(some, wanted.rate)
                placed += some
                time.sleep(0 if some else 5)
                watch(analytics)
        except KeyboardInterrupt:
            print("\nclosing ...")


main()
