create table t (id int primary key, a int default 7, b text default 'd', c text);
insert into t values (1, null, null, null);
