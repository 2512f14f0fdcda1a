insert into t values (6, 6);
--@ drain
insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.t", "public.u"], "type": "blocking", "additional-conditions": [{"data-collection": "public.t", "filter": "select * from public.t where a > 3"}]}');
--@ drain
insert into t values (50, 50);
