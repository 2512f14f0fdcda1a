create table k (a int, b int, c text, x text);
create table two (id int primary key, b int, a int, x text);
create table none (a int, x text);
create table ix (a int not null unique, b int, x text);
alter table ix replica identity using index ix_a_key;
alter table k replica identity full;
create table kn (a int, b int, x text);
insert into two values (1, 1, 1, null), (2, 2, 2, null);
