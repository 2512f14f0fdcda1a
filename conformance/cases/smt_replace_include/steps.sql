insert into t values (2, 1, null, 'c');
delete from t;
