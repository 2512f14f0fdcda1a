insert into t values (2, 1.50, '2024-02-29 13:14:15.123456', '\x00ff', '1 day');
--@ drain
--@ put_config {"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "hex", "interval.handling.mode": "string"}
insert into t values (3, 1.50, '2024-02-29 13:14:15.123456', '\x00ff', '1 day');
--@ drain
--@ put_config {"decimal.handling.mode": "double", "time.precision.mode": "isostring", "binary.handling.mode": "base64", "interval.handling.mode": "numeric", "value.converter.schemas.enable": "false", "include.unknown.datatypes": "true", "skipped.operations": "none"}
insert into t values (4, 1.50, '2024-02-29 13:14:15.123456', '\x00ff', '1 day');
truncate t;
--@ drain
