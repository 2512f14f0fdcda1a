create table a (id int primary key, n numeric);
create table b (id int primary key, n numeric(5,2)[]);
create table c (id int primary key, d date);
create table e (id int primary key, n numeric(5,2) not null);
create table f (id int primary key, ts timestamp);
