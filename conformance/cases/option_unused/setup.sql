create table t (id int primary key, v text);
alter table t alter v set storage external;
insert into t values (1, repeat('a', 3000));
