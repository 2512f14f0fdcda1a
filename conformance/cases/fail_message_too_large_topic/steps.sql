insert into t values (2, repeat('x', 5000));
--@ drain 1
insert into t values (3, 'c');
begin;
insert into t values (4, 'd'), (5, repeat('y', 5000)), (6, 'f');
commit;
--@ drain
--@ rest GET /connectors/${name}/status
