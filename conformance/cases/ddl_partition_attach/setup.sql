create table p (id int primary key, v text) partition by range (id);
create table p1 partition of p for values from (0) to (10);
create table n (v text, id int primary key);
insert into p values (1, 'a');
