insert into t values (2, 1, null, 'c');
update t set a = null, c = null where id = 2;
