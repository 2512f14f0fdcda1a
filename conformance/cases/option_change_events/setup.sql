create table t (id int primary key, v text);
alter table t replica identity full;
insert into t values (1, 'a');
