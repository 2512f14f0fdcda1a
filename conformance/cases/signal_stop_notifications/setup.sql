create table debezium_signal (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
create table t (tid int primary key); create table u (tid int primary key); create table e (tid int primary key); create table k (a int);
insert into t values (1), (2), (3), (4), (5); insert into u values (1); insert into k values (1);
