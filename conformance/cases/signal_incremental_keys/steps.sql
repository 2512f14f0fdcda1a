insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.nokey"]}');
--@ drain
insert into debezium_signal values ('s2', 'execute-snapshot', '{"data-collections": ["public.two"]}');
--@ drain
insert into debezium_signal values ('s3', 'execute-snapshot', '{"data-collections": ["public.u"]}');
--@ drain
insert into debezium_signal values ('s4', 'execute-snapshot', '{"data-collections": ["public.\"Odd Name\""]}');
--@ drain
insert into debezium_signal values ('s5', 'execute-snapshot', '{"data-collections": ["public.parts_.*"]}');
--@ drain
insert into two values ('z', 100, 'w');
