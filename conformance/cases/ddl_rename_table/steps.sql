insert into t values (2, 2);
--@ drain 1
alter table t rename to u;
insert into u values (3, 3);
update u set a = 9 where id = 1;
delete from u where id = 2;
