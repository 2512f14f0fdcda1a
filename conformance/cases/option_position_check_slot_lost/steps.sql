insert into t values (2, 'b');
insert into t values (3, 'c');
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
select pg_drop_replication_slot('${name}');
insert into t values (4, 'd');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 'e');
insert into t values (6, 'f');
--@ drain
