insert into _timescaledb_internal._hyper_2_3_chunk values ('2024-01-01 00:00+00', 20.5);
insert into _timescaledb_internal._hyper_1_1_chunk values ('2024-01-01 00:00+00', 20.5);
