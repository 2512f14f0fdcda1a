create table a1 (id int primary key, v text);
create table a2 (id int primary key, v text);
create table b (id int primary key);
create table nokey (v text);
alter table a1 replica identity full;
insert into a1 values (1, 'a');
insert into a2 values (1, 'a');
insert into b values (1);
insert into nokey values ('x');
