update t set b = 4; update t set a = a; update t set m = 'n'; update t set tr = 'abd'; update t set tr = 'xbd'; update t set n = 1.00; update t set n = 2;
update d set a = a; update d set a = 3;
update t set b = 7, id = 2; update t set b = 8; update t set arr = '{2}'; update t set big = repeat('y', 4000); delete from t;
