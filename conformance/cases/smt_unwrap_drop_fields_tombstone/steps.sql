update t set a = 2;
delete from t;
