insert into t values (2, 2);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 3);
update t set id = 4 where id = 3;
drop table t;
create table t (k text primary key, b int);
insert into t values ('x', 1);
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values ('y', 2);
