create table t (id int primary key, a int, x text, mask text, hash text, away text);
alter table t alter x set storage external, alter mask set storage external, alter hash set storage external, alter away set storage external;
insert into t values (1, 1, repeat('x', 2100), repeat('x', 2100), repeat('x', 2100), repeat('x', 2100));
