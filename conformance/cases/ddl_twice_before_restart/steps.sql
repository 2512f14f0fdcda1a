insert into t values (2, 2);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 3);
alter table t rename a to b;
alter table t alter b set default 2;
insert into t values (4, 4);
alter table t rename b to c;
alter table t alter c set default 3, add x text default 'y';
insert into t values (5, 5);
alter table t alter c type bigint, drop x;
insert into t values (6, 6);
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (7, 7);
