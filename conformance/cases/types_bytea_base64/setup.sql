create table t (id int primary key, b bytea, a bytea[]);
insert into t values (1, '\x010203', array['\x01'::bytea, '\xff']), (2, null, null);
alter table t add d bytea not null default '\xfffe';
