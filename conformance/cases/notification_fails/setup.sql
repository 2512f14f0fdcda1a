drop role if exists ${name}_r;
create role ${name}_r login replication;
create table a (id int primary key);
create table b (id int primary key);
insert into a values (1);
insert into b values (1);
grant select on a to ${name}_r;
create publication ${name} for all tables;
