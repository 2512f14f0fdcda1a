create table t (id int primary key, a int not null, b text, c text default 'x');
alter table t replica identity full;
insert into t values (1, 1, 'x', null);
