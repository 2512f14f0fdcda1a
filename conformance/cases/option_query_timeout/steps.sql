insert into t values (2);
--@ wait_sql select exists (select from pg_stat_activity where datname = current_database() and query like 'insert into t select 100%' and state = 'active')
insert into t values (3);
--@ drain 4
insert into t values (4);
