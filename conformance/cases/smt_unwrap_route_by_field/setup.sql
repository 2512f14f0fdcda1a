create table t (id int primary key, to_topic text);
insert into t values (1, '${name}.one');
