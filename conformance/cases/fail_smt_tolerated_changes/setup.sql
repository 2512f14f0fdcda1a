create table t (k text primary key, a text);
alter table t replica identity full;
insert into t values ('1', '10'), ('2', 'ten'), ('three', '30');
