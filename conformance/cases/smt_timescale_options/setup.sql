-- The extension cannot be had everywhere: its entry and the tables that are read of it.
set allow_system_table_mods = on;
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (1, 'timescaledb', 10, 2200, false, '2.17.2');
reset allow_system_table_mods;
create schema _timescaledb_internal;
create schema _timescaledb_catalog;
create table _timescaledb_catalog.hypertable (id int primary key, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.chunk (id int primary key, hypertable_id int not null, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.continuous_agg (mat_hypertable_id int primary key, raw_hypertable_id int not null, user_view_schema name not null, user_view_name name not null);
create schema chunks;
create schema more_chunks;
create table chunks.a (id int primary key);
create table more_chunks.b (id int primary key);
create table _timescaledb_internal.c (id int primary key);
insert into _timescaledb_catalog.hypertable values (1, 'public', 'one'), (2, 'public', 'two');
insert into _timescaledb_catalog.chunk values (1, 1, 'chunks', 'a'), (2, 2, 'more_chunks', 'b'), (3, 2, '_timescaledb_internal', 'c');
