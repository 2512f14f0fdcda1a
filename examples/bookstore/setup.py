"""The bookstore's databases and connectors by name."""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from example import Example

SECRETS = (HERE / "secrets.txt").read_text().split()
CONNECTORS = ["ecom-connector", "inventory-connector", "analytics-sink"]


class Bookstore(Example):
    def __init__(self, embedded, *ports, postgres_url=None):
        super().__init__(HERE, SECRETS, embedded, *ports, postgres_url=postgres_url)

    def owner(self, database):
        """A connection as the shop itself has it."""
        return self.postgres.connect(database, "bookstore_app", self.secret("BOOKSTORE_APP_PASSWORD"))
