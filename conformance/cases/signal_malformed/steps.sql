insert into debezium_signal values ('m1', 'no-such-signal', '{"data-collections": ["public.t"]}');
--@ drain
insert into debezium_signal values ('m2', 'execute-snapshot', 'this is no JSON');
--@ drain
insert into debezium_signal values ('m3', 'execute-snapshot', '{}');
--@ drain
insert into debezium_signal values ('m4', 'execute-snapshot', '{"data-collections": []}');
--@ drain
insert into debezium_signal values ('m5', 'execute-snapshot', '{"data-collections": "public.t"}');
--@ drain
insert into debezium_signal values ('m6', 'execute-snapshot', '{"data-collections": ["public.t"], "type": "sometimes"}');
--@ drain
insert into debezium_signal values ('m7', 'execute-snapshot', null);
--@ drain
insert into debezium_signal values ('m8', null, null);
--@ drain
insert into debezium_signal values ('m9', 'log', '{"message": "At {}"}');
insert into t values (5);
--@ drain
insert into debezium_signal values ('m10', 'execute-snapshot', '{"data-collections": ["public.t"], "more": [1]}');
--@ drain
insert into t values (6);
