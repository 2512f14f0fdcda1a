insert into t select id+10, d, ts, ts3, ts0, tsz0, i, t from t;
