create schema _timescaledb_internal;
create table _timescaledb_internal.c (id int primary key);
insert into _timescaledb_internal.c values (1);
