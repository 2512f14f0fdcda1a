create table shard_1 (id int primary key);
create table shard_2 (id int primary key);
insert into shard_1 values (1);
insert into shard_2 values (1);
