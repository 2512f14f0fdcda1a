create table a (id int primary key, v text);
create table b (id int primary key, v text);
insert into a values (1, 'x');
insert into b values (1, 'x');
