create table a (id int primary key, v text);
create table b (id int primary key);
create table e (id int primary key);
create table k (v text);
insert into a select i, 'v' || i from generate_series(1, 5) i;
insert into b values (1), (2);
insert into k values ('x');
