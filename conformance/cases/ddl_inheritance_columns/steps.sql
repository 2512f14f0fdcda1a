insert into child values (2, 2, 2);
--@ drain 1
alter table parent add c text default 'x';
insert into child values (3, 3, 3, 'y');
insert into parent values (4, 4);
--@ drain 1
alter table other add c text;
alter table other inherit parent;
insert into other values (5, 5, 'z');
update parent set a = 9 where id = 5;
