insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["public.t"]}');
--@ drain
update t set n = 100 where id = 1;
