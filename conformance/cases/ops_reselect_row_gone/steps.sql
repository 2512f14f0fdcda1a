begin;
update t set a = 2;
update g set a = 2;
delete from g where id = 1;
alter table t drop x;
commit;
