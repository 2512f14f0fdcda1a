insert into t values (2, 'b');
insert into t values (6, 'f');
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 'passed over');
select pg_replication_slot_advance('${name}', pg_current_wal_lsn());
insert into t values (4, 'd');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 'e');
