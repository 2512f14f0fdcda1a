insert into t values (2, 2); update t set a = 5 where id = 2; update t set id = 3 where id = 2; delete from t where id = 1; truncate t;
