begin;
insert into t values (2, 'ok', 2);
alter table t drop m;
drop type mood;
insert into t values (3, 3);
commit;
