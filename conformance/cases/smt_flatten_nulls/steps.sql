update t set a = 1;
delete from t;
