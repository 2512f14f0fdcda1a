create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
create table t (tid int primary key); create table other (tid int primary key); insert into t values (1); insert into other values (1);
