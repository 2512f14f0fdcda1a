update t set id = 3 where id = 1;
alter table t add w int default 7;
update t set w = 8 where id = 3;
