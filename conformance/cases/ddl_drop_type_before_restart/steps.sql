insert into t values (2, 'ok', 2);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 'sad', 3);
alter table t drop m;
drop type mood;
insert into t values (4, 4);
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 5);
