select pg_replication_origin_drop(roname) from pg_replication_origin where roname = '${name}';
select pg_replication_origin_create('${name}');
create table a (id int primary key, v text);
