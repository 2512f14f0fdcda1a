create table t (id int primary key, s text, n bigint, d bigint, x bigint);
insert into t values (1, '2024-02-29 13:14:15', 1709212455, 1709212455123456, 1709212455123), (2, null, null, null, null), (3, '1969-12-31 23:59:59', -1, -1, -1);
