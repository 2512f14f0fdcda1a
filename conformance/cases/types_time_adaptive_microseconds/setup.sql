create table t (id int primary key, d date, t time, t0 time(0), t3 time(3), t5 time(5), tz timetz, ts timestamp, ts0 timestamp(0), ts3 timestamp(3), ts5 timestamp(5), tstz timestamptz, tstz0 timestamptz(0), tstz3 timestamptz(3));
insert into t values (1, '2024-02-29', '13:14:15.123456', '13:14:15', '13:14:15.123', '13:14:15.12345', '13:14:15.123456+02', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15', '2024-02-29 13:14:15.123', '2024-02-29 13:14:15.12345', '2024-02-29 13:14:15.123456+05:30', '2024-02-29 13:14:15+05:30', '2024-02-29 13:14:15.123+05:30');
insert into t(id) values (2);
create table d (id int primary key, t time not null default '01:02:03', ts timestamp(3) default '2024-01-01 00:00:01', a time[], tsa timestamp[]);
insert into d values (1, '24:00:00', 'infinity', array['01:02:03.123456'::time, null], array['2024-02-29 13:14:15.123456'::timestamp]);
