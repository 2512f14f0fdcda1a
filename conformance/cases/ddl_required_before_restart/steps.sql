insert into t values (2);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3);
update t set a = 0, s = '', n = 0, d = '2023-01-01 00:00:00+00';
alter table t alter a set not null, alter s set not null, alter n set not null, alter d set not null;
insert into t values (4, 4, '4', 4, '2024-01-01 00:00:00+00');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 5, '5', 5, '2024-01-01 00:00:00+00');
--@ drain
