"""The seeded workload alone, against a database that is there: DB_HOST, DB_PORT and SECRETS_DIR say where.

usage: workload.py [CHANGES [CHANGES_A_SECOND [SEED]]]
"""
import os, sys, time
from pathlib import Path

import psycopg

from customers import Customers


def main(changes=1000, a_second=5, seed=1):
    password = (Path(os.environ.get("SECRETS_DIR", "/run/secrets")) / "CRM_APP_PASSWORD").read_text()
    with psycopg.connect(host=os.environ.get("DB_HOST", "127.0.0.1"), port=os.environ.get("DB_PORT", "5432"), dbname="crm", user="crm_app",
                         password=password, autocommit=True) as crm:
        customers = Customers(crm, seed)
        for _ in range(changes):
            customers.business(1)
            time.sleep(1 / a_second)
    print(f"{changes} changes")


main(*map(int, sys.argv[1:]))
