insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.nosuch"], "type": "blocking"}');
--@ drain
insert into debezium_signal values ('s2', 'execute-snapshot', '{"data-collections": ["public.other", "public.t"], "type": "blocking"}');
--@ drain
insert into t values (2);
