insert into t values (2, 'b');
begin; insert into t values (3, 'c'); update t set v = 'C' where id = 3; commit;
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (4, 'd');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 'e');
