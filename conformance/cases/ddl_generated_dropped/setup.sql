create table t (id int primary key, g int generated always as (id * 2) stored);
insert into t values (1);
