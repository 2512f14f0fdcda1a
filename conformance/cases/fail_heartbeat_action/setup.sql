create table t (id int primary key);
create table hb (id int primary key);
