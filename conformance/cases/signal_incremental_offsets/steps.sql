begin;
insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.[tu]"], "type": "incremental", "additional-conditions": [{"data-collection": "public.u", "filter": "id > 0"}]}');
insert into debezium_signal values ('s2', 'pause-snapshot', '{"type": "incremental"}');
commit;
--@ drain
insert into u values (50);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_status STOPPED
--@ rest GET /connectors/${name}/offsets
--@ rest PUT /connectors/${name}/resume
--@ wait_status RUNNING
