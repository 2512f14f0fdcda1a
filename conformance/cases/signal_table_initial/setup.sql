create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
create table t (id int primary key);
insert into debezium_signal values ('old', 'log', '{"message": "old"}');
insert into t values (1);
