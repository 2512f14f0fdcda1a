insert into chunks.a values (1);
insert into more_chunks.b values (1);
insert into _timescaledb_internal.c values (1);
delete from chunks.a;
