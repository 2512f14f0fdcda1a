-- The extension cannot be had everywhere: its entry and the tables that are read of it.
set allow_system_table_mods = on;
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (1, 'timescaledb', 10, 2200, false, '2.17.2');
reset allow_system_table_mods;
create schema _timescaledb_internal;
create schema _timescaledb_catalog;
create table _timescaledb_catalog.hypertable (id int primary key, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.chunk (id int primary key, hypertable_id int not null, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.continuous_agg (mat_hypertable_id int primary key, raw_hypertable_id int not null, user_view_schema name not null, user_view_name name not null);
create schema smt_hypertable;
create table smt_hypertable.conditions (time timestamptz not null, location int not null, temperature float8, primary key (time, location));
create table _timescaledb_internal._hyper_1_1_chunk (like smt_hypertable.conditions including all);
create table public.plain (id int primary key);
insert into _timescaledb_catalog.hypertable values (1, 'smt_hypertable', 'conditions');
insert into _timescaledb_catalog.chunk values (1, 1, '_timescaledb_internal', '_hyper_1_1_chunk');
insert into _timescaledb_internal._hyper_1_1_chunk values ('2024-01-01 00:00+00', 1, 20.5);
insert into public.plain values (1);
