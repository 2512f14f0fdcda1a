insert into debezium_signal values ('s1', 'execute-snapshot', '{"data-collections": ["PUBLIC\\..*", "shop.c,shop.empty"], "type": "BLOCKING"}');
--@ drain
insert into a values (3);
