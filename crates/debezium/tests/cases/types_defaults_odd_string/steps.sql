insert into t(id, tnow, nowt, tz0) values (2, '01:00', '2024-01-01', '2024-01-01');
