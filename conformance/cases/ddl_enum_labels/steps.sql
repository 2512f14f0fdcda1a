insert into t values (2, 'ok');
--@ drain 1
alter type mood add value 'glad';
insert into t values (3, 'glad');
--@ drain 1
insert into t values (4, 'ok');
--@ drain 1
alter type mood rename value 'ok' to 'fine';
insert into t values (5, 'fine');
--@ drain 1
alter type mood add value 'x';
update t set m = 'x' where id = 1;
