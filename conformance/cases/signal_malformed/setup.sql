create table debezium_signal (id varchar(64) primary key, type varchar(32), data varchar(2048));
create table t (id int primary key);
insert into t select generate_series(1, 4);
