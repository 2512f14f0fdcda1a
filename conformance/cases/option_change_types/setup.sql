create table t (id int primary key, d numeric(8, 2), ts timestamp, b bytea, i interval);
insert into t values (1, 1.50, '2024-02-29 13:14:15.123456', '\x00ff', '1 day');
