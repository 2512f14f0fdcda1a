insert into t values (1, 'a');
insert into u select generate_series(1, 100);
--@ wait_sql select confirmed_flush_lsn > '0/0' from pg_replication_slots where slot_name = '${name}'
insert into t values (2, 'b');
