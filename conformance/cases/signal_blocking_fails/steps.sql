insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.t", "public.u"], "type": "blocking", "additional-conditions": [{"data-collection": "public.u", "filter": "select nonsense from public.u"}]}');
--@ drain
insert into t values (2);
--@ drain
insert into debezium_signal values ('s2', 'execute-snapshot', '{"data-collections": ["public.u"], "type": "blocking", "additional-conditions": [{"data-collection": "public.u", "filter": "select tid from public.u"}]}');
--@ drain
insert into debezium_signal values ('s3', 'execute-snapshot', '{"data-collections": ["public.u"], "type": "blocking"}');
--@ drain
insert into t values (3);
