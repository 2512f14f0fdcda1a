insert into t values (2, 2);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 3);
update t set id = 4 where id = 3;
delete from t where id = 2;
alter table t add n int not null default 7, drop constraint t_pkey;
alter table t add primary key (id, n);
insert into t values (5, 5, 5);
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (6, 6, 6);
