insert into t values (2, default, 2);
--@ drain 1
update t set a = 9 where id = 1;
update t set id = 3 where id = 1;
delete from t where id = 2;
