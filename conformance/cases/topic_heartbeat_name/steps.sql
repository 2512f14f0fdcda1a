--@ sleep 2
insert into t values (2, 'b');
--@ sleep 1
