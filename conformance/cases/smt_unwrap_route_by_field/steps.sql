insert into t values (2, '${name}.two'), (3, null), (4, '');
alter table t replica identity full;
update t set to_topic = '${name}.three' where id = 1;
delete from t where id = 2;
