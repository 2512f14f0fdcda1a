insert into p values (2, 2, repeat('y', 3000));
--@ drain 1
update p set a = 9 where id = 1;
update p set id = 3 where id = 1;
delete from p where id = 2;
