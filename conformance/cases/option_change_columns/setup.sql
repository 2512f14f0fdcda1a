create table t (id int primary key, name text, secret text, n int not null default 7);
insert into t values (1, 'a', 's1');
