create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
create table t (tid int primary key, a int); create table u (tid int primary key);
insert into t select i, i from generate_series(1, 5) i; insert into u values (1), (2);
