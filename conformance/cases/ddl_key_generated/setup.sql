create table t (id int, g int generated always as (id * 2) stored, a int, primary key (id, g));
insert into t values (1, default, 1);
