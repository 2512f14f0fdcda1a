-- The extension cannot be had everywhere: its entry and the tables that are read of it.
set allow_system_table_mods = on;
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (1, 'timescaledb', 10, 2200, false, '2.29.0');
reset allow_system_table_mods;
create schema _timescaledb_internal;
create schema _timescaledb_catalog;
create table _timescaledb_catalog.hypertable (id int primary key, schema_name name not null, table_name name not null);
create table _timescaledb_catalog.chunk (id int primary key, hypertable_id int not null, relid oid not null);
create table _timescaledb_catalog.continuous_agg (mat_hypertable_id int primary key, raw_hypertable_id int not null, user_view_schema name not null, user_view_name name not null);
create table _timescaledb_internal.chunk_of_one (id int primary key, v text);
create table _timescaledb_internal.chunk_of_two (id int primary key, v text);
insert into _timescaledb_catalog.hypertable values (1, 'smt_relid', 'one'), (2, 'smt_relid', 'two');
insert into _timescaledb_catalog.chunk values (1, 1, '_timescaledb_internal.chunk_of_one'::regclass), (2, 2, '_timescaledb_internal.chunk_of_two'::regclass);
insert into _timescaledb_catalog.continuous_agg values (2, 1, 'smt_relid', 'two_daily');
