insert into t values (2, 3);
update t set last = 'z' where id = 1;
insert into k values (5, default, 'y');
delete from t where id = 2;
