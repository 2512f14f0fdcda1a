create table a (id int primary key);
create table b (id int primary key);
create table c (id int primary key);
insert into a select generate_series(1, 300);
insert into b select generate_series(1, 10);
insert into c select generate_series(1, 1000);
analyze;
create table d (id int primary key);
insert into d values (1), (2);
