update t set plain = 'q'; delete from t;
