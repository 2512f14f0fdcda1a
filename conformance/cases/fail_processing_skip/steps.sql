insert into t values (2, 'NaN');
insert into t values (3, 3);
