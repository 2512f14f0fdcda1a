insert into t values (2);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
select pg_drop_replication_slot('${name}');
insert into t values (3);
--@ rest PUT /connectors/${name}/resume
--@ wait_failed
