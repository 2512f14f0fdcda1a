truncate t;
insert into t values (3, 3, 'z');
