insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.e", "public.k", "public.u"], "additional-conditions": [{"data-collection": "public.u", "filter": "tid > 0"}]}');
--@ drain
begin;
insert into debezium_signal values ('s2', 'execute-snapshot', '{"data-collections": ["public.t", "public.u"]}');
insert into debezium_signal values ('s3', 'pause-snapshot', '{"type": "incremental"}');
commit;
--@ drain
begin;
insert into debezium_signal values ('s4', 'stop-snapshot', '{"type": "incremental"}');
insert into debezium_signal values ('s5', 'resume-snapshot', '{"type": "incremental"}');
commit;
--@ drain
insert into t values (50);
