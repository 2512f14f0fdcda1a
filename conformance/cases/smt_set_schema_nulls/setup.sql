create table t (id int primary key, a int default 7);
insert into t values (1, null);
