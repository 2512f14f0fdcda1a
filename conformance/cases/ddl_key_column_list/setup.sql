create table t (a int, b int, c int, primary key (a, b));
create publication ${name} for table t (b, c) with (publish = 'insert');
insert into t values (1, 2, 3);
