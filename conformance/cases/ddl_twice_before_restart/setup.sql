create table t (id int primary key, a int default 1);
insert into t values (1, 1);
