insert into t select 2, tmph, tm, mh, mp, ph, h, t, i, ci, sp from t;
