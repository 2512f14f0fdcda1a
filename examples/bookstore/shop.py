"""What the shop does: orders that take from the stock, and what becomes of them. The same seed does the same things.

Orders are in one database and the stock in another, as in many a shop: no transaction spans both.
"""
import random
import time
from decimal import Decimal


class Shop:
    def __init__(self, ecom, inventory, seed=1):
        """Two connections, as the databases' owner."""
        self.ecom, self.inventory, self.random = ecom, inventory, random.Random(seed)

    def add_book(self, title, author, price, stock, genre="Fiction"):
        book = self.ecom.execute("INSERT INTO books (title, author, price, genre, published_year) VALUES (%s, %s, %s, %s, 2024) RETURNING id",
                                 (title, author, Decimal(price), genre)).fetchone()[0]
        self.inventory.execute("INSERT INTO inventory (book_id, quantity) VALUES (%s, %s)", (book, stock))
        return book

    def order(self, user, wanted, days_ago=0):
        """`wanted`: (book, quantity) pairs. Items and total are one transaction; then the stock is reserved."""
        with self.ecom.transaction():
            order = self.ecom.execute("INSERT INTO orders (user_id, created_at) VALUES (%s, now() - %s * interval '1 day') RETURNING id",
                                      (user, days_ago)).fetchone()[0]
            for book, quantity in wanted:
                self.ecom.execute("INSERT INTO order_items (order_id, book_id, quantity, price_at_purchase) SELECT %s, id, %s, price FROM books WHERE id = %s",
                                  (order, quantity, book))
            self.ecom.execute("UPDATE orders SET total = (SELECT sum(quantity * price_at_purchase) FROM order_items WHERE order_id = orders.id) WHERE id = %s", (order,))
        for book, quantity in wanted:
            self._stock(book, -quantity, quantity)
        return order

    def pay(self, order):
        """The stock that was reserved is gone for good."""
        self._status(order, "PAID")
        for book, quantity in self.items(order):
            self._stock(book, 0, -quantity)

    def ship(self, order):
        self._status(order, "SHIPPED")

    def cancel(self, order):
        """An order that was not paid gives back what it reserved."""
        self._status(order, "CANCELLED")
        for book, quantity in self.items(order):
            self._stock(book, quantity, -quantity)

    def items(self, order):
        return self.ecom.execute("SELECT book_id, quantity FROM order_items WHERE order_id = %s ORDER BY id", (order,)).fetchall()

    def _status(self, order, status):
        self.ecom.execute("UPDATE orders SET status = %s WHERE id = %s", (status, order))

    def _stock(self, book, quantity, reserved):
        self.inventory.execute("UPDATE inventory SET quantity = quantity + %s, reserved = reserved + %s, updated_at = now() WHERE book_id = %s",
                               (quantity, reserved, book))

    def business(self, orders, a_second=None):
        """This many orders over the last thirty days: three in four are paid, half of those shipped, one in eight cancelled."""
        start = time.monotonic()
        books = [row[0] for row in self.ecom.execute("SELECT id FROM books ORDER BY id")]
        for n in range(orders):
            # A delivery, where little is left.
            self.inventory.execute("UPDATE inventory SET quantity = quantity + 1000, updated_at = now() WHERE quantity < 20")
            some = self.random.sample(books, self.random.randint(1, 3))
            order = self.order(self.random.randint(1, 40), [(book, self.random.randint(1, 4)) for book in some],
                               days_ago=self.random.randint(0, 29))
            fate = self.random.random()
            if fate < 0.75:
                self.pay(order)
                if self.random.random() < 0.5:
                    self.ship(order)
            elif fate < 0.875:
                self.cancel(order)
            if a_second:
                time.sleep(max(0, start + (n + 1) / a_second - time.monotonic()))
