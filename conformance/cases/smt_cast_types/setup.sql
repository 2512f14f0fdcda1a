create table t (id int primary key, a int, b bool, c text, d text, e numeric(6,2), f timestamp(3), g numeric(6,2), h bytea, i double precision default 70000.5);
insert into t values (1, 300, true, 'TRUE', '1.5', 12.30, '2024-02-29 13:14:15.5', -12.99, 'ab', 70000.9), (2, null, null, null, null, null, null, null, null, null);
