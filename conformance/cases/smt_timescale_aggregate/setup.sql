-- The extension cannot be had everywhere: its entry and the tables that are read of it.
set allow_system_table_mods = on;
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (1, 'timescaledb', 10, 2200, false, '2.17.2');
reset allow_system_table_mods;
create schema _timescaledb_internal;
create schema _timescaledb_catalog;
create table _timescaledb_catalog.hypertable (id int primary key, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.chunk (id int primary key, hypertable_id int not null, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.continuous_agg (mat_hypertable_id int primary key, raw_hypertable_id int not null, user_view_schema name not null, user_view_name name not null);
create table _timescaledb_internal._materialized_hypertable_2 (bucket timestamptz not null, average float8);
create table _timescaledb_internal._hyper_2_3_chunk (bucket timestamptz not null, average float8);
create table _timescaledb_internal._hyper_1_1_chunk (time timestamptz not null, temperature float8);
insert into _timescaledb_catalog.hypertable values (1, 'smt_aggregate', 'conditions'), (2, '_timescaledb_internal', '_materialized_hypertable_2');
insert into _timescaledb_catalog.chunk values (3, 2, '_timescaledb_internal', '_hyper_2_3_chunk'), (1, 1, '_timescaledb_internal', '_hyper_1_1_chunk');
insert into _timescaledb_catalog.continuous_agg values (2, 1, 'smt_aggregate', 'conditions_daily');
