"""What the application does to its customers. The same seed does the same things."""
import random
import uuid


class Customers:
    def __init__(self, crm, seed=1):
        self.crm, self.random = crm, random.Random(seed)

    def ids(self):
        """Those that can be written to the copy, which wants an at sign in an address."""
        return [row[0] for row in self.crm.execute("SELECT id FROM customer WHERE email LIKE '%@%' ORDER BY id")]

    def add(self, email=None, status="TRIAL"):
        """Answers the new customer's id."""
        id = uuid.UUID(int=self.random.getrandbits(128))
        self.crm.execute("INSERT INTO customer (id, email, status) VALUES (%s, %s, %s)", (id, email or f"{id.hex[:8]}@example.com", status))
        return id

    def update(self, id, status):
        self.crm.execute("UPDATE customer SET status = %s, updated_at = clock_timestamp() WHERE id = %s", (status, id))

    def remove(self, id):
        self.crm.execute("DELETE FROM customer WHERE id = %s", (id,))

    def business(self, changes):
        """As many changes, each a transaction: six updates in ten, three new customers, one that leaves. Answers (updates, inserts, deletes)."""
        done, ids = [0, 0, 0], self.ids()
        for _ in range(changes):
            what = self.random.random()
            if what < 0.6:
                self.update(self.random.choice(ids), self.random.choice(["ACTIVE", "TRIAL", "CLOSED"]))
                done[0] += 1
            elif what < 0.9:
                ids.append(self.add())
                done[1] += 1
            else:
                self.remove(ids.pop(self.random.randrange(len(ids))))
                done[2] += 1
        return done
