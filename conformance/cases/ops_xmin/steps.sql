insert into t values (2);
--@ drain
insert into t values (3), (4);
--@ drain
