insert into a1 values (2, 'b');
update a1 set v = 'c' where id = 2;
update a1 set id = 3 where id = 2;
delete from a1 where id = 3;
insert into a2 values (2, 'b');
insert into nokey values ('y');
