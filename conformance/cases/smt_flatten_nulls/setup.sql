create table t (id int primary key, a int default 7, b int[]);
alter table t replica identity full;
insert into t values (1, null, '{1,2}');
