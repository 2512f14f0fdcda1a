create table t (id int primary key, a int, x text, y text);
alter table t alter x set storage external, alter y set storage external;
insert into t values (1, 1, repeat('x', 2100), 'y'), (2, 1, repeat('x', 2100), 'y');
