create type mood as enum ('sad', 'ok');
create table t (id int primary key, m mood, a int);
insert into t values (1, 'sad', 1);
