create table p (id int primary key, a int, v text) partition by range (id);
create table p1 partition of p for values from (0) to (10);
alter table p1 alter v set storage external;
alter table p replica identity full;
insert into p values (1, 1, repeat('x', 3000));
