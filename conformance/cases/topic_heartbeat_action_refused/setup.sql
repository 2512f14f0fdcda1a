create table t (id int primary key);
create table hb (id int primary key);
insert into t values (1);
insert into hb values (1);
