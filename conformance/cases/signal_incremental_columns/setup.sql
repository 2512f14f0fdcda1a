create table debezium_signal (id varchar(64) primary key, type varchar(32), data varchar(2048));
create table t (id int primary key, name text, secret text, n int not null default 7, d numeric, ts timestamptz);
insert into t select g, 'n' || g, 's' || g, g, g + 0.50, '2024-02-29 12:00:00+02' from generate_series(1, 5) g;
