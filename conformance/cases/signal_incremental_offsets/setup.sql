create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
create table t (a bigint, b text, c uuid, d smallint, e int, primary key (a, b, c, d, e)); create table u (id int primary key);
insert into t select i, 'k' || i, ('00000000-0000-4000-8000-00000000000' || i)::uuid, i, i from generate_series(1, 5) i;
insert into u values (1);
