create table t (id int primary key, a int, s text, n numeric(5,2), d timestamptz);
insert into t values (1);
