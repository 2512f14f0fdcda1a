insert into t values (2, 'b');
update t set v = 'c' where id = 1;
delete from t where id = 2;
