insert into t values (2, 'NaN');
--@ sleep 5
--@ rest GET /connectors/${name}/status
