insert into t values (8);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.t"]}');
insert into t values (9);
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
--@ drain
insert into debezium_signal values ('s2', 'execute-snapshot', '{"data-collections": ["public.v"]}');
--@ drain
insert into t values (10);
