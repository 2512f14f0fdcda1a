"""Runs the bookstore on servers of its own and checks that the replica says what the shop did.

usage: verify [--embedded]      WALSPRING: the program, else it is built
"""
import sys

from setup import CONNECTORS, Bookstore
from shop import Shop

from machine import end_on_signals
from report import Report
from topics import records, waiting

# Source database, table, its copy, the columns, the topic. The first column is the key.
COPIES = [
    ("ecomdb", "orders", "fact_orders", "id, user_id, total, status, created_at", "ecom-connector.public.orders"),
    ("ecomdb", "order_items", "fact_order_items", "id, order_id, book_id, quantity, price_at_purchase", "ecom-connector.public.order_items"),
    ("ecomdb", "books", "dim_books", "id, title, author, price, description, cover_url, isbn, genre, published_year, created_at", "ecom-connector.public.books"),
    ("inventorydb", "inventory", "fact_inventory", "book_id, quantity, reserved, updated_at", "inventory-connector.public.inventory"),
]
GROUP = "analytics-cdc-consumer"


class Verification:
    def __init__(self, store, report):
        self.store, self.report, self.deleted = store, report, {}
        self.connect()

    def connect(self):
        self.ecom, self.inventory = self.store.owner("ecomdb"), self.store.owner("inventorydb")
        self.analytics = self.store.postgres.connect("analytics")
        self.shop = Shop(self.ecom, self.inventory)

    def rows(self, database, table, columns, where="true", values=()):
        connection = {"ecomdb": self.ecom, "inventorydb": self.inventory, "analytics": self.analytics}[database]
        return connection.execute(f"SELECT {columns} FROM {table} WHERE {where}", values).fetchall()

    def equal(self):
        """Whether each copy has the rows of its table, and those that were deleted."""
        good, seen = True, []
        for database, table, copy, columns, _ in COPIES:
            source = {row[0]: row for row in self.rows(database, table, columns)} | self.deleted.get(table, {})
            replica = {row[0]: row for row in self.rows("analytics", copy, columns)}
            differing = sum(source.get(key) != replica.get(key) for key in source.keys() | replica.keys())
            good &= not differing
            seen.append(f"{copy} {len(replica)}" + (f" ({differing} differ)" if differing else ""))
        return good, ", ".join(seen)

    def drained(self):
        lag = sum(waiting(self.store.worker, self.store.kafka, "analytics-sink", GROUP, topic) for *_, topic in COPIES)
        return lag == 0, f"lag {lag}"

    def sold(self, book):
        """(units, revenue) of a book in the first view; None: it is not there."""
        found = self.rows("analytics", "vw_product_sales_volume", "units_sold, revenue", "book_id = %s", (book,))
        return found[0] if found else None

    def today(self):
        found = self.rows("analytics", "vw_sales_over_time", "orders, daily_revenue", "day = (now() AT TIME ZONE 'UTC')::date")
        return found[0] if found else (0, 0)

    def capture_roles(self):
        """Roles that capture own nothing and write nothing; the publications are the owner's."""
        seen = []
        for database, user in (("ecomdb", "ecom_cdc"), ("inventorydb", "inventory_cdc")):
            with self.store.postgres.connect(database) as c:
                may = c.execute("SELECT string_agg(DISTINCT privilege_type, ',') FROM information_schema.role_table_grants WHERE grantee = %s", (user,)).fetchone()[0]
                replicates, = c.execute("SELECT rolreplication AND NOT rolsuper AND NOT rolcreatedb AND NOT rolcreaterole FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
                owns, = c.execute("SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", (user,)).fetchone()
                owner, = c.execute("SELECT string_agg(pubowner::regrole::text, ',') FROM pg_publication").fetchone()
                seen.append((user, may, replicates, owns, owner))
        good = all(may == "SELECT" and replicates and owns == 0 and owner == "bookstore_app" for _, may, replicates, owns, owner in seen)
        return good, "; ".join(f"{user}: {may}, replication, owns {owns}" for user, may, _, owns, _ in seen)

    def run(self):
        check, step, store = self.report.check, self.report.step, self.store
        self.shop.business(25)
        step("25 orders, then the connectors")
        check("registered", lambda: (True, ", ".join(store.register().split("\n")[:-1])))
        check("roles that capture", self.capture_roles)
        check("the rows that were there", self.equal)
        self.shop.business(25)
        check("25 orders more", self.equal)
        self.twice_is_once()
        book, order = self.order()
        self.update(book, order)
        self.cancel(book)
        self.delete()
        check("the group has stored what it read", self.drained)
        self.restart()

    def twice_is_once(self):
        count = lambda: [len(records(self.store.worker, self.store.kafka, topic)) for *_, topic in COPIES]
        before = count()
        self.store.register()
        self.shop.add_book("Once", "R. Peat", "11.00", 5)
        self.report.check("registered again: one more book, nothing else", lambda: (
            (after := count()) == [before[0], before[1], before[2] + 1, before[3] + 1], f"records {before} then {after}"))

    def order(self):
        """The order of 39.98: two books that are new, one of each."""
        orders, revenue = self.today()
        books = self.shop.add_book("A Pair of These", "N. Teen", "24.99", 10), self.shop.add_book("The Other One", "N. Teen", "14.99", 10)
        order = self.shop.order(7, [(book, 1) for book in books])

        def seen():
            each = lambda table, columns, key, values: " | ".join(
                " ".join(map(str, row)) for row in self.rows("analytics", table, columns, f"{key} = ANY(%s) ORDER BY {key}, 1 DESC", (list(values),)))
            now = self.today()
            facts = {
                "order": each("fact_orders", "total, status", "id", [order]),
                "items": each("fact_order_items", "price_at_purchase, quantity", "order_id", [order]),
                "books": each("dim_books", "price, title", "id", books),
                "stock": each("fact_inventory", "quantity, reserved", "book_id", books),
                "sold": each("vw_product_sales_volume", "units_sold, revenue", "book_id", books),
                "today": f"+{now[0] - orders} +{now[1] - revenue}",
            }
            wanted = ["39.98 PENDING", "24.99 1 | 14.99 1", "24.99 A Pair of These | 14.99 The Other One", "9 1 | 9 1", "1 24.99 | 1 14.99", "+1 +39.98"]
            return list(facts.values()) == wanted, ", ".join(f"{name} {fact}" for name, fact in facts.items())
        self.report.check("an order of 39.98 in four tables and two views", seen)
        return books[0], order

    def update(self, book, order):
        self.shop.pay(order)
        self.ecom.execute("UPDATE books SET price = 27.50 WHERE id = %s", (book,))
        self.report.check("paid, and the book's price raised", lambda: (
            (seen := (self.rows("analytics", "fact_orders", "status", "id = %s", (order,))[0][0],
                      str(self.rows("analytics", "dim_books", "price", "id = %s", (book,))[0][0]),
                      *map(str, self.sold(book)))) == ("PAID", "27.50", "1", "24.99"), "{}, price {}, sold {} for {}".format(*seen)))

    def cancel(self, book):
        order = self.shop.order(8, [(book, 3)])
        both = lambda units, status: lambda: (
            (seen := (self.sold(book)[0], [row[0] for row in self.rows("analytics", "fact_orders", "status", "id = %s", (order,))])) == (units, [status]),
            f"sold {seen[0]}, order {seen[1]}")
        self.report.check("another order", both(4, "PENDING"))
        self.shop.cancel(order)
        self.report.check("cancelled: it leaves the view of what sold", both(1, "CANCELLED"))

    def delete(self):
        """A deleted row stays in the replica. What comes behind it shows that the delete has been read."""
        order = self.shop.order(9, [(1, 1)])
        self.report.check("one more order", self.equal)
        for table, key in (("order_items", "order_id"), ("orders", "id")):
            columns = next(copy[3] for copy in COPIES if copy[1] == table)
            self.deleted[table] = {row[0]: row for row in self.rows("ecomdb", table, columns, f"{key} = %s", (order,))}
            self.ecom.execute(f"DELETE FROM {table} WHERE {key} = %s", (order,))
        self.shop.order(9, [(2, 1)])
        self.report.check("deleted in the shop: it stays in the replica", lambda: (
            (good := self.equal()) and good[0] and self.drained()[0], f"order {order} is there; {good[1]}"))

    def restart(self):
        store = self.store
        store.worker.stop()
        self.shop.business(10)
        store.postgres.restart()
        if store.kafka:
            store.kafka.restart()
        store.worker.start()
        self.connect()
        self.report.step("everything restarted, with 10 orders while the worker was away")
        self.report.check("running again", lambda: (store.worker.running(*CONNECTORS), ", ".join(CONNECTORS)))
        self.shop.business(10)
        self.report.check("replica equals source", self.equal)
        self.report.check("the group has stored what it read", self.drained)


def main():
    if set(sys.argv[1:]) - {"--embedded"}:
        sys.exit(__doc__)
    end_on_signals()
    embedded = "--embedded" in sys.argv
    with Bookstore(embedded) as store:
        store.start()
        report = Report("bookstore " + ("on the embedded log" if embedded else "on Kafka"))
        with report.explaining(store.worker):
            Verification(store, report).run()
        return report.finish("four tables and two views follow two databases, through updates, deletes and a restart of everything")


sys.exit(main())
