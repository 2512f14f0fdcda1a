"""The seeded workload alone, against databases that are there: DB_HOST, DB_PORT and SECRETS_DIR say where.

usage: workload.py [ORDERS [ORDERS_A_SECOND [SEED]]]
"""
import os, sys
from pathlib import Path

import psycopg

from shop import Shop


def main(orders=100, a_second=5, seed=1):
    password = (Path(os.environ.get("SECRETS_DIR", "/run/secrets")) / "BOOKSTORE_APP_PASSWORD").read_text()
    connect = lambda database: psycopg.connect(host=os.environ.get("DB_HOST", "127.0.0.1"), port=os.environ.get("DB_PORT", "5432"), dbname=database,
                                               user="bookstore_app", password=password, autocommit=True)
    with connect("ecomdb") as ecom, connect("inventorydb") as inventory:
        Shop(ecom, inventory, seed).business(orders, a_second)
    print(f"{orders} orders")


main(*map(int, sys.argv[1:]))
