select pg_replication_origin_drop(roname) from pg_replication_origin where roname like '${name}%';
select pg_replication_origin_create('${name}'), pg_replication_origin_create('${name} "é"');
-- So that the large transaction does not fit.
alter database ${name} set logical_decoding_work_mem = '64kB';
create table a (id int primary key, v text);
create table l (id int primary key, pad text);
insert into a values (1, 'snapshot');
