insert into t values (1);
--@ wait_sql select exists (select from hb)
--@ wait_records 1
drop table hb;
--@ wait_failed
