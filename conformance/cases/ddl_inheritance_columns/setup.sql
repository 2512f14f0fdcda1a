create table parent (id int primary key, a int);
create table child (b int, primary key (id)) inherits (parent);
create table other (a int, id int primary key);
insert into child values (1, 1, 1);
