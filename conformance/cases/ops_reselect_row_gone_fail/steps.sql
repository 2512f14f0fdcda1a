update t set a = 2 where id = 2;
--@ wait_records 3
begin;
update t set a = 2 where id = 1;
delete from t where id = 1;
commit;
--@ wait_failed
