create table t (id int primary key, a int, x text, y text);
alter table t alter x set storage external, alter y set storage external;
create table u (id int primary key, a int, x text);
alter table u alter x set storage external;
insert into t values (1, 1, repeat('x', 2100), repeat('y', 2100));
insert into u values (1, 1, repeat('x', 2100));
