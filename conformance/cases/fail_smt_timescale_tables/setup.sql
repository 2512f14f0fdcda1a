-- The extension cannot be had everywhere: its entry and the tables that are read of it.
set allow_system_table_mods = on;
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (1, 'timescaledb', 10, 2200, false, '2.17.2');
reset allow_system_table_mods;
create schema _timescaledb_internal;
create table _timescaledb_internal.c (id int primary key);
insert into _timescaledb_internal.c values (1);
