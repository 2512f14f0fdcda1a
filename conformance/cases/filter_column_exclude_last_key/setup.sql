create table t (a int, id int primary key); insert into t values (1, 2);
