create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048)); create schema shop;
create table a (tid int primary key); create table b (tid int primary key); create table other (tid int primary key);
create table shop.c (tid int primary key, v text); create table shop.empty (tid int primary key);
insert into a values (1), (2); insert into b values (1); insert into other values (1); insert into shop.c values (1, 'x'), (2, null);
