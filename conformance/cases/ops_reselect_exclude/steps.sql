update t set a = 2;
update u set a = 2;
