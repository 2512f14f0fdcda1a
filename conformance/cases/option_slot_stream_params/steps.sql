select pg_logical_emit_message(true, 'p', 'm');
insert into t values (2, 'b');
