create table t (id int primary key, a int, b int);
create table u (id text primary key default 'd', a int);
create table v (b int primary key);
create table w (id int, b int, c text not null default 'x', primary key (id, b));
alter table t replica identity full;
insert into t values (1, 2, 3); insert into u values ('k', 2); insert into v values (5); insert into w values (1, 2, 'c');
