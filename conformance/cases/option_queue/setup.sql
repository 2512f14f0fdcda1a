create table t (id int primary key, v text);
create table u (id int primary key);
insert into t select g, 'a' from generate_series(1, 40) g;
insert into u values (1);
