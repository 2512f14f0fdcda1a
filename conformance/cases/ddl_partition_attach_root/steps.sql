insert into p values (2, 'b');
--@ drain 1
alter table p attach partition n for values from (10) to (20);
insert into p values (11, 'c');
--@ drain 1
alter table p detach partition p1;
insert into p1 values (3, 'd');
update n set v = 'e' where id = 11;
--@ drain 1
alter table p add a int;
insert into p values (12, 'f', 1);
