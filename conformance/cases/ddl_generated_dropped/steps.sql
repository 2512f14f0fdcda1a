insert into t values (2);
--@ drain 1
alter table t alter g drop expression;
insert into t values (3, 3);
update t set g = 9 where id = 1;
