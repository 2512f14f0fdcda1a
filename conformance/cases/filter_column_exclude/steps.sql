insert into t values (2, 3, 4); insert into u values ('l', 3); insert into v values (6); insert into w values (2, 3, 'd');
update t set b = 9 where id = 1;
update u set id = 'm' where id = 'l';
delete from t where id = 2;
delete from w where id = 2;
