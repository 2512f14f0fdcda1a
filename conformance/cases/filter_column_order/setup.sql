create table t (id int primary key, tmph varchar(20), tm text, mh text, mp text, ph text, h text, t text, i int, ci text, sp text);
insert into t values (1, 'abcdef', 'abcdef', 'abcdef', 'abcdef', 'abcdef', 'abcdef', 'abcdef', 1, 'abcdef', 'abcdef');
