create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
create table t (tid int primary key); create table u (tid int primary key, v text); insert into t values (1); insert into u values (1, 'x');
