create table t (id int primary key, a int, b int, m text, tr text, n numeric, ts timestamp(3), f float8, big text, arr int[]);
alter table t replica identity full; alter table t alter big set storage external;
create table d (id int primary key, a int); create table k (id int primary key, a int);
insert into t values (1, 2, 3, 'm', 'abc', 1.0, '2024-01-01', 'NaN', repeat('x', 4000), '{1}'); insert into d values (1, 2);
