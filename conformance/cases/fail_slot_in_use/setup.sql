create table t (id int primary key);
insert into t values (1);
create publication ${name} for table t;
select pg_create_logical_replication_slot('${name}', 'pgoutput');
select setting as bin from pg_config() where name = 'BINDIR' \gset
\setenv BIN :bin
\! setsid timeout 60 "$BIN"/pg_recvlogical -h 127.0.0.1 -p ${pg_port} -U postgres -d ${name} --slot ${name} --start -f /dev/null -o proto_version=1 -o publication_names=${name} > /dev/null 2>&1 < /dev/null &
select pg_sleep(1);
