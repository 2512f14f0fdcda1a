insert into _timescaledb_internal.chunk_of_one values (1, 'a');
insert into _timescaledb_internal.chunk_of_two values (1, 'a');
